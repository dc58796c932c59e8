//! The refresh grant (RFC 6749 section 6): read, decide, commit, sign, answer. The rules are
//! [`remint_core::refresh`]'s; this file only carries them out. Never echoes a presented token.

use std::net::IpAddr;
use std::sync::Arc;

use remint_core::audit::{Act, Doer, Target};
use remint_core::change::{Changes, Row, RowKey};
use remint_core::client::Client;
use remint_core::id::Audience;
use remint_core::notice;
use remint_core::policy::Timing;
use remint_core::refresh::{self, Answer, Decision, Genuine, KeyProof, Presentation, RefreshToken, Setting};
use remint_core::refusal::Refusal;
use remint_core::scope::ScopeSet;
use remint_core::secret::{Salt, SecretHash};
use remint_core::session::{Continuity, EndReason, Session};
use remint_core::time::Timestamp;

use crate::app::App;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::grant::gate::{self, Kind};
use crate::grant::issue::{self, Issued, RefreshText, Wanted};
use crate::store::{BeforeCommit, Commit, Held, Holding};

/// What a shared decision answers: the snapshot to mint from, and whether the head goes with it.
#[derive(Clone, Debug)]
pub struct Granted {
    held: Arc<Held>,
    answer: Answer,
}

/// The salt that tokens of unknown sessions are checked against: the work is the same.
const DUMMY_SALT: Salt = Salt::from_bytes([0; 16]);

/// Answers a refresh token that was presented from an address. `client` is authenticated as it must be. Where the session is
/// its, and it is another one by now, nothing is decided or shared: [`Failure::Contended`].
pub async fn refresh(
    app: &App,
    client: &Arc<Client>,
    presented: &str,
    from: IpAddr,
    interactive: bool,
    wanted: &Wanted,
) -> Result<Issued, Failure> {
    answered(app, client, (presented, from), interactive, wanted, Kind::Refresh).await
}

/// Answers a refresh token that came in a cookie of `client`'s page: such a client shows nothing but the cookie.
pub async fn refresh_by_cookie(
    app: &App,
    client: &Arc<Client>,
    presented: &str,
    from: IpAddr,
    interactive: bool,
) -> Result<Issued, Failure> {
    let wanted = Wanted { account: true, ..Wanted::default() };
    answered(app, client, (presented, from), interactive, &wanted, Kind::CookieRefresh).await
}

async fn answered(
    app: &App,
    client: &Arc<Client>,
    (presented, from): (&str, IpAddr),
    interactive: bool,
    wanted: &Wanted,
    kind: Kind,
) -> Result<Issued, Failure> {
    let token: RefreshToken = presented.parse().map_err(|_| Refusal::WrongMac)?;
    app.keyring.look_for(token.kid()).await?; // here: where the token is proved nobody may wait
    let wanted = wanted.clone();
    let asked = Arc::new(Asked { client: Arc::clone(client), token, from, interactive, wanted, kind });
    let Granted { held, answer } = match at_once(app, &asked).await? {
        Some(granted) => granted,
        None => Box::pin(in_turn(app, presented, &asked)).await?, // seldom, and larger than all the rest
    };
    let now = app.clock.now();
    let permit = gate::may_issue(&held.user, &held.client, &held.session, kind, now)?;
    let issued = issue::for_session(app, permit, held.seen, &asked.wanted, now).await?;
    if answer == Answer::WithHead {
        return Ok(issued.with_refresh(head(app, &held.session).await?, &held.client, &held.session, now));
    }
    Ok(issued)
}

/// One presentation, as it was asked.
struct Asked {
    client: Arc<Client>,
    token: RefreshToken,
    from: IpAddr,
    interactive: bool,
    wanted: Wanted,
    kind: Kind,
}

/// Reads, decides and commits in one go, where no other presentation of the session is being decided. Nothing where
/// there is one, or where another node was first.
async fn at_once(app: &App, asked: &Arc<Asked>) -> Result<Option<Granted>, Failure> {
    let sid = asked.token.sid();
    let Some(_turn) = app.desk.free(sid) else { return Ok(None) };
    let (its_app, its_asked) = (app.clone(), Arc::clone(asked));
    let decide = move |found: Option<Held>| {
        let genuine = prove(&its_app, &its_asked.token, found.as_ref());
        let proved = found.zip(genuine).ok_or_else(|| Refusal::WrongMac.into());
        match proved.and_then(|(held, genuine)| decided(&its_app, &its_asked, held, genuine)) {
            Ok((changes, decided)) => (changes, Ok(decided)),
            Err(failure) => (Changes::none(), Err(failure)),
        }
    };
    let (decided, commit) = app.store.settle(Holding(sid), decide).await?;
    match commit {
        Commit::Done { .. } => answer(decided?).map(Some),
        Commit::Conflict { .. } => Ok(None),
    }
}

/// Behind those of the session that came before it. A forger takes nobody's turn here: the token is proved first.
async fn in_turn(app: &App, presented: &str, asked: &Asked) -> Result<Granted, Failure> {
    let proved = read(app, &asked.token).await?;
    still_authenticated(asked, &proved.0)?; // here: whoever shares a decision was authenticated as its decider was
    let alike = alike(presented, asked, &proved.0);
    let decide = |waited: bool| {
        let first = Some(proved).filter(|_| !waited); // whoever waited for its turn reads again
        decide(app, asked, first)
    };
    app.desk.in_turn(asked.token.sid(), alike, decide).await
}

/// What makes two presentations the same question: also that both saw the same user, client and apis, so that whoever came
/// after a change was acknowledged is not answered from before it.
fn alike(presented: &str, asked: &Asked, held: &Held) -> SecretHash {
    let Asked { client, token: _, from: _, interactive, wanted, kind } = asked;
    let Wanted { resource, scope, account, grounds: _ } = wanted;
    let flags = [*interactive, *account, resource.is_some(), scope.is_some()].map(u8::from);
    let texts = [
        client.id.as_str(),
        resource.as_ref().map_or("", Audience::as_str),
        scope.as_ref().map_or("", ScopeSet::as_str),
        presented,
    ];
    // One reading: of these texts only the scope can hold a blank.
    let seen = [held.user.rev, held.client.rev].map(|rev| rev.number().to_be_bytes());
    let age = held.seen.unwrap_or_default().to_bytes();
    SecretHash::of(&[&flags, &[*kind as u8][..], seen.as_flattened(), &age, texts.join(" ").as_bytes()].concat())
}

async fn decide(app: &App, asked: &Asked, mut first: Option<(Held, Genuine)>) -> Result<Granted, Failure> {
    for _ in 0..MAX_CONFLICTS {
        let (held, genuine) = match first.take() {
            Some(proved) => proved,
            None => read(app, &asked.token).await?,
        };
        let (changes, decided) = decided(app, asked, held, genuine)?;
        if changes.is_empty() {
            return answer(decided); // it counts as of its read
        }
        match app.store.commit(changes).await? {
            Commit::Done { .. } => return answer(decided),
            Commit::Conflict { .. } => {} // another node was first: decide again
        }
    }
    Err(Failure::Contended)
}

/// What was decided, upon what, and whether the gate lets it through.
struct Decided {
    held: Held,
    decision: Decision,
    permitted: Result<(), Refusal>,
}

/// The decision, and what is to be committed of it. None where the client has changed since it was authenticated.
fn decided(app: &App, asked: &Asked, held: Held, genuine: Genuine) -> Result<(Changes, Decided), Failure> {
    still_authenticated(asked, &held)?;
    let Asked { client, token: _, from, interactive, wanted, kind } = asked;
    let (now, presenter) = (app.clock.now(), &client.id);
    let shown =
        Presentation { token: Some(genuine), client: presenter, proof: KeyProof::None, interactive: *interactive };
    let decision = refresh::present(&held.session, &held.user, &shown, &setting(app, &held.client, now), now);
    let permitted = gate::may_issue(&held.user, &held.client, &held.session, *kind, now)
        .and_then(|permit| issue::grantable(app, permit.client(), permit.session(), wanted).map(drop));
    let changes = changes(&app.settings.timing, &held, &decision, permitted.is_ok(), *from, now);
    Ok((changes, Decided { held, decision, permitted }))
}

/// Whether the client is as it was when it was authenticated. One that shows a cookie has no secret: the page that it came
/// from was looked at with the cookie. One whose session this is not is refused whatever it is.
fn still_authenticated(asked: &Asked, held: &Held) -> Result<(), Failure> {
    let same = Arc::ptr_eq(&asked.client, &held.client) || asked.client == held.client;
    let concerned = matches!(asked.kind, Kind::Refresh) && asked.client.id == held.client.id;
    if concerned && !same { Err(Failure::Contended) } else { Ok(()) }
}

/// The session of a token, and the proof that the token is its own. An unknown session is answered like a wrong MAC.
async fn read(app: &App, token: &RefreshToken) -> Result<(Held, Genuine), Failure> {
    let found = app.store.read(BeforeCommit(Holding(token.sid()))).await?;
    let genuine = prove(app, token, found.as_ref());
    Ok(found.zip(genuine).ok_or(Refusal::WrongMac)?)
}

/// Row 0, with the same work where there is no such session or key.
pub(crate) fn prove(app: &App, token: &RefreshToken, found: Option<&Held>) -> Option<Genuine> {
    let salt = match found.map(|held| &held.session.continuity) {
        Some(Continuity::Refresh(chain)) => chain.salt,
        _ => DUMMY_SALT,
    };
    match (app.keyring.refresh_key(token.kid()), found) {
        (Some(key), Some(_)) => token.prove(&key, &salt),
        (Some(key), None) => token.prove(&key, &salt).and(None),
        (None, _) => token.prove(app.keyring.dummy_refresh_key(), &salt).and(None),
    }
}

fn setting(app: &App, client: &Client, now: Timestamp) -> Setting {
    let windows = client.policy.windows(&app.settings.timing);
    Setting {
        windows,
        idle: client.policy.idle(),
        current_kid: app.keyring.current_refresh().0,
        always_return_refresh: client.always_return_refresh && client.secret.is_some(),
        in_doubt: app.doubt.now(now, windows.parent),
    }
}

/// What is to be written. Where the gate says no, only a theft verdict is.
fn changes(
    timing: &Timing,
    held: &Held,
    decision: &Decision,
    permitted: bool,
    from: IpAddr,
    now: Timestamp,
) -> Changes {
    match (&decision.session, &decision.answer) {
        (Some(session), Err(_)) => Changes::none()
            .write(Row::Session(session.clone()))
            .expect(RowKey::Client(held.client.id.clone()), held.client.rev) // its apis must be those that are told
            .notice(notice::session_ended(session, &held.client, EndReason::Theft, timing, now))
            .audit(theft(held, from, now)),
        (Some(session), Ok(_)) if permitted => Changes::none().write(Row::Session(session.clone())),
        (Some(_) | None, _) => Changes::none(),
    }
}

/// The verdict is the server's, over what came from this address: thief or victim, it cannot be said.
fn theft(held: &Held, from: IpAddr, now: Timestamp) -> remint_core::audit::Entry {
    let doer = Doer { from: from.to_string(), ..Doer::server() };
    doer.did(Act::Theft, Target::User(held.user.id), now).session(&held.client.id, held.session.sid)
}

fn answer(Decided { held, decision, permitted }: Decided) -> Result<Granted, Failure> {
    if decision.caught_up {
        metrics::counter!("remint_refresh_caught_up_total").increment(1);
        tracing::warn!(sid = %held.session.sid, "a refresh token is newer than its row: the store has lost commits");
    }
    if decision.answer == Err(Refusal::SessionEnded(EndReason::Theft)) && decision.session.is_some() {
        metrics::counter!("remint_refresh_theft_total").increment(1);
        tracing::warn!(sid = %held.session.sid, user = %held.session.user, client_id = %held.session.client,
            "a refresh token was used by two holders: the session is ended");
    }
    let answer = decision.answer?;
    permitted?;
    let session = decision.session.unwrap_or(held.session);
    Ok(Granted { held: Arc::new(Held { session, ..held }), answer })
}

/// The refresh token of the row's head.
pub async fn head(app: &App, session: &Session) -> Result<RefreshText, Failure> {
    let Continuity::Refresh(chain) = &session.continuity else { return Err(Refusal::WrongMac.into()) };
    app.keyring.look_for(chain.kid).await?;
    let key = app.keyring.refresh_key(chain.kid).ok_or(Failure::NoRefreshKey)?;
    Ok(RefreshText::of(&refresh::derive(chain.kid, &key, session.sid, &chain.salt, chain.head)))
}
