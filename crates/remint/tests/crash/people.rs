//! People who use the server while it is killed, and who remember what it acknowledged: which sessions were opened,
//! what ended them, how far their record had come. Each acts in sequence, as an honest client does, and all of them at
//! once. Whatever the server says against its own acknowledgement is a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;

use crate::server::{Folder, Http, Lost, PASSWORD, Reply, claims};

/// How many people act at once.
const PEOPLE: u64 = 8;
/// More live sessions than this are not opened.
const MANY: usize = 5;
/// How often an answer `503` is taken for "not just now".
const PATIENT: u32 = 200;

/// What is known to all of them.
#[derive(Clone, Default)]
pub(crate) struct Stage {
    /// Acknowledgements so far.
    acknowledged: Arc<AtomicU64>,
    /// Refresh tokens that were replaced by a new one.
    rotated: Arc<AtomicU64>,
    /// Endings so far.
    ended: Arc<AtomicU64>,
    /// The life is to end in order.
    curtain: Arc<AtomicBool>,
}

impl Stage {
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(crate) fn rotated(&self) -> u64 {
        self.rotated.load(Ordering::Relaxed)
    }

    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Everybody leaves after what they are doing.
    pub(crate) fn close(&self) {
        self.curtain.store(true, Ordering::Relaxed);
    }

    /// Whether everybody is to leave.
    pub(crate) fn is_closed(&self) -> bool {
        self.curtain.load(Ordering::Relaxed)
    }

    /// For the next life.
    pub(crate) fn open(&self) {
        self.curtain.store(false, Ordering::Relaxed);
    }
}

/// How people behave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// They come and go: log-ins and endings of every kind.
    Restless,
    /// They stay: their sessions grow old enough for their tokens to be rotated.
    Steady,
}

/// How a session is kept.
#[derive(Clone, Debug)]
enum Held {
    /// By a refresh token.
    Refresh(String),
    /// By an account token that lives longer than the test.
    Fixed(String),
}

/// A session whose opening was acknowledged.
#[derive(Clone, Debug)]
struct Known {
    sid: String,
    held: Held,
    /// What may have ended it; empty while nothing tried to.
    causes: Vec<&'static str>,
    /// Whether an ending was acknowledged, or seen.
    over: bool,
}

/// One person.
pub(crate) struct Person {
    identifier: String,
    sessions: Vec<Known>,
    /// The claims version that was acknowledged.
    cv: u64,
    /// The nickname that was acknowledged; `None` while an answer about it is missing.
    nickname: Option<String>,
    manner: Manner,
    chance: Chance,
    stage: Stage,
    /// Log-ins that got no answer since the last that did: each counts as a guess.
    unanswered: u32,
}

/// A sequence that is the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// Makes them, by the command line.
pub(crate) async fn people(folder: &Folder, stage: &Stage, manner: Manner) -> Vec<Person> {
    let mut people = Vec::new();
    for number in 1..=PEOPLE {
        let identifier = format!("person{number}@example.test");
        let create = ["user", "create", &identifier, "--password-file", "-", "--attribute", "nickname=newcomer"];
        folder.command(&create, PASSWORD).await;
        people.push(Person {
            identifier,
            sessions: Vec::new(),
            cv: 1,
            nickname: Some("newcomer".to_owned()),
            manner,
            chance: Chance(0x9E37_79B9_7F4A_7C15 ^ (number << 7)),
            stage: stage.clone(),
            unanswered: 0,
        });
    }
    people
}

/// Whoever was killed at too many log-ins is let in again, as an operator does it.
pub(crate) async fn unlocked(people: &mut [Person], folder: &Folder) {
    const MANY: u32 = 3;
    for person in people.iter_mut().filter(|person| person.unanswered >= MANY) {
        folder.command(&["user", "unlock", &person.identifier], "").await;
        person.unanswered = 0;
    }
}

/// Lets everybody act until the server is gone, or the curtain falls.
pub(crate) fn act(people: Vec<Person>, port: u16) -> Vec<tokio::task::JoinHandle<Person>> {
    let http = Http::to(port);
    let act = |mut person: Person| {
        let http = http.clone();
        tokio::spawn(async move {
            person.live(&http).await;
            person
        })
    };
    people.into_iter().map(act).collect()
}

/// The people, when all of them have noticed the end.
pub(crate) async fn gathered(acting: Vec<tokio::task::JoinHandle<Person>>) -> Vec<Person> {
    let mut people = Vec::new();
    for person in acting {
        people.push(person.await.unwrap());
    }
    people
}

/// Holds the server to everything that it acknowledged.
pub(crate) async fn all_kept(people: &mut [Person], port: u16) {
    let http = Http::to(port);
    let checks = people.iter_mut().map(|person| {
        let http = http.clone();
        async move {
            for at in 0..person.sessions.len() {
                person.check(&http, at).await;
            }
        }
    });
    futures_util::future::join_all(checks).await;
}

/// Holds the server to what was acknowledged last: the rest was on the disk long ago.
pub(crate) async fn latest_kept(people: &mut [Person], port: u16) {
    let http = Http::to(port);
    let checks = people.iter_mut().map(|person| {
        let http = http.clone();
        async move {
            for at in person.sessions.len().saturating_sub(3)..person.sessions.len() {
                person.check(&http, at).await;
            }
        }
    });
    futures_util::future::join_all(checks).await;
}

impl Person {
    async fn live(&mut self, http: &Http) {
        while !self.stage.is_closed() {
            if let Err(Lost) = self.step(http).await {
                return;
            }
        }
    }

    async fn step(&mut self, http: &Http) -> Result<(), Lost> {
        let live: Vec<usize> = (0..self.sessions.len()).filter(|at| self.sessions[*at].causes.is_empty()).collect();
        let Some(at) = live.get(self.chance.below(live.len().max(1))).copied() else { return self.login(http).await };
        match (self.manner, self.chance.below(20)) {
            (_, 0..2) if live.len() < MANY => self.login(http).await,
            (_, 2..5) => self.patch(http, at).await,
            (_, 5..8) => self.two_tabs(http, at).await,
            (Manner::Restless, 8) if live.len() > 1 => self.log_out(http, at).await,
            (Manner::Restless, 9..11) if live.len() > 1 => self.revoke(http, at).await,
            (Manner::Restless, 11) if self.chance.below(4) == 0 => self.end_everywhere(http, at).await,
            (Manner::Restless | Manner::Steady, _) => self.renew(http, at).await,
        }
    }

    fn acknowledge(&self) {
        self.stage.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    async fn login(&mut self, http: &Http) -> Result<(), Lost> {
        let client = if self.chance.below(3) == 0 { "demo-fixed" } else { "demo-refresh" };
        self.unanswered += 1;
        let reply = http.login(client, &self.identifier).await?;
        match reply.status.as_u16() {
            200 => {
                self.unanswered = 0;
                let held = match reply.text("refresh_token") {
                    Some(token) => Held::Refresh(token.to_owned()),
                    None => Held::Fixed(reply.demand("account_token")),
                };
                self.shows_my_record(&reply);
                let sid = claims(&reply.demand("access_token"))["sid"].as_str().unwrap().to_owned();
                self.sessions.push(Known { sid, held, causes: Vec::new(), over: false });
                self.acknowledge();
            }
            // Hashing is slow where the machine is busy; kills in the middle of log-ins count as guesses.
            408 | 429 | 503 => {}
            _ => panic!("{} cannot log in: {reply:?}", self.identifier),
        }
        Ok(())
    }

    /// The record in a new token is at least the one that was acknowledged.
    fn shows_my_record(&self, reply: &Reply) {
        let shown = claims(&reply.demand("access_token"));
        self.is_my_record(shown["cv"].as_u64().unwrap(), shown["nickname"].as_str());
    }

    fn is_my_record(&self, cv: u64, nickname: Option<&str>) {
        assert!(cv >= self.cv, "{}: an acknowledged change is gone: cv {cv}, {} before", self.identifier, self.cv);
        if let (Some(acknowledged), Some(shown)) = (&self.nickname, nickname) {
            assert_eq!(shown, acknowledged, "{}: the change is not in the token", self.identifier);
        }
    }

    /// A refresh, or a look at the session where nothing is refreshed.
    async fn renew(&mut self, http: &Http, at: usize) -> Result<(), Lost> {
        let reply = match &self.sessions[at].held {
            Held::Refresh(token) => http.refresh(token).await?,
            Held::Fixed(token) => http.bearer(Method::GET, "/session", token).await?,
        };
        self.renewed(at, &reply);
        Ok(())
    }

    fn renewed(&mut self, at: usize, reply: &Reply) {
        match reply.status.as_u16() {
            200 => self.acknowledge(),
            408 | 503 => return no_suspicion(&self.sessions[at], reply),
            _ => panic!("an honest client is refused: {reply:?} for {:?}", self.sessions[at].sid),
        }
        self.keep(at, reply);
        match &self.sessions[at].held {
            Held::Refresh(_) => self.shows_my_record(reply),
            Held::Fixed(_) => {
                let user = &reply.body["user"];
                self.is_my_record(user["cv"].as_u64().unwrap(), user["attributes"]["nickname"].as_str());
            }
        }
    }

    /// Keeps the new refresh token, where there is one; the old one else (RFC 6749 section 6).
    fn keep(&mut self, at: usize, reply: &Reply) {
        if let (Held::Refresh(token), Some(new)) = (&mut self.sessions[at].held, reply.text("refresh_token"))
            && new != token
        {
            new.clone_into(token);
            self.stage.rotated.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The same token from two tabs at once: both are served, and their new tokens are one.
    async fn two_tabs(&mut self, http: &Http, at: usize) -> Result<(), Lost> {
        let Held::Refresh(token) = self.sessions[at].held.clone() else { return self.renew(http, at).await };
        let (one, other) = tokio::join!(http.refresh(&token), http.refresh(&token));
        let news: Vec<String> = [&one, &other]
            .into_iter()
            .flatten()
            .filter_map(|reply| reply.text("refresh_token").map(str::to_owned))
            .collect();
        assert!(news.windows(2).all(|pair| pair[0] == pair[1]), "two tabs were given two tokens");
        for reply in [one, other].into_iter().flatten() {
            self.renewed(at, &reply);
        }
        Ok(())
    }

    /// A token that opens the account.
    async fn account_token(&mut self, http: &Http, at: usize) -> Result<Option<String>, Lost> {
        let token = match &self.sessions[at].held {
            Held::Fixed(token) => return Ok(Some(token.clone())),
            Held::Refresh(token) => token.clone(),
        };
        let reply = http.account_token(&token).await?;
        if reply.status != 200 {
            no_suspicion(&self.sessions[at], &reply);
            assert!(matches!(reply.status.as_u16(), 408 | 503), "an honest client is refused: {reply:?}");
            return Ok(None);
        }
        self.keep(at, &reply);
        Ok(Some(reply.demand("access_token")))
    }

    async fn patch(&mut self, http: &Http, at: usize) -> Result<(), Lost> {
        let Some(token) = self.account_token(http, at).await? else { return Ok(()) };
        let nickname = format!("nickname {}", self.chance.below(1_000_000));
        self.nickname = None; // until it is acknowledged
        let reply = http.patch(&token, &nickname).await?;
        match reply.status.as_u16() {
            200 => {
                let cv = claims(&reply.demand("access_token"))["cv"].as_u64().unwrap();
                assert!(cv > self.cv, "a change raises cv: {cv} after {}", self.cv);
                (self.cv, self.nickname) = (cv, Some(nickname));
                self.acknowledge();
            }
            408 | 503 => {}
            _ => panic!("a change is refused: {reply:?}"),
        }
        Ok(())
    }

    async fn log_out(&mut self, http: &Http, at: usize) -> Result<(), Lost> {
        let Some(token) = self.account_token(http, at).await? else { return Ok(()) };
        self.sessions[at].causes.push("logout");
        let reply = http.bearer(Method::DELETE, "/session", &token).await?;
        self.ending(&reply, &[at]);
        Ok(())
    }

    async fn revoke(&mut self, http: &Http, at: usize) -> Result<(), Lost> {
        let Held::Refresh(token) = self.sessions[at].held.clone() else { return self.log_out(http, at).await };
        self.sessions[at].causes.push("revoked");
        let reply = http.revoke(&token).await?;
        self.ending(&reply, &[at]);
        Ok(())
    }

    async fn end_everywhere(&mut self, http: &Http, at: usize) -> Result<(), Lost> {
        let Some(token) = self.account_token(http, at).await? else { return Ok(()) };
        let open: Vec<usize> = (0..self.sessions.len()).filter(|at| !self.sessions[*at].over).collect();
        open.iter().for_each(|at| self.sessions[*at].causes.push("everywhere"));
        let reply = http.bearer(Method::DELETE, "/session?everywhere=true", &token).await?;
        self.ending(&reply, &open);
        Ok(())
    }

    fn ending(&mut self, reply: &Reply, sessions: &[usize]) {
        match reply.status.as_u16() {
            200 | 204 => {
                sessions.iter().for_each(|at| self.sessions[*at].over = true);
                self.stage.ended.fetch_add(1, Ordering::Relaxed);
                self.acknowledge();
            }
            408 | 503 => {}
            _ => panic!("an ending is refused: {reply:?}"),
        }
    }

    /// Holds the server to one session: live is live, ended is ended and says why.
    async fn check(&mut self, http: &Http, at: usize) {
        let Known { sid, held, causes, over } = self.sessions[at].clone();
        let reply = self.asked(http, &held).await;
        let ended = causes.iter().find(|cause| reply.cause() == format!("session ended: {cause}"));
        match (reply.status.as_u16(), ended) {
            (200, _) => {
                assert!(!over, "a session that ended ({causes:?}) lives again: {sid}");
                if causes.is_empty() {
                    self.renewed(at, &reply);
                } else {
                    self.keep(at, &reply);
                }
            }
            (400 | 401, Some(cause)) => self.sessions[at] = Known { causes: vec![cause], over: true, sid, held },
            _ => panic!("a session is neither kept nor ended by {causes:?}: {reply:?}"),
        }
    }

    /// Asks until the answer is one about the session.
    async fn asked(&self, http: &Http, held: &Held) -> Reply {
        for _ in 0..PATIENT {
            let reply = match held {
                Held::Refresh(token) => http.refresh(token).await,
                Held::Fixed(token) => http.bearer(Method::GET, "/session", token).await,
            };
            let reply = reply.expect("the server answers");
            if !matches!(reply.status.as_u16(), 408 | 503) {
                return reply;
            }
            assert!(!is_suspicion(&reply), "an honest client is taken for a thief: {reply:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server has no answer about {held:?}");
    }
}

/// The answer to a would-be theft while the server is in doubt.
fn is_suspicion(reply: &Reply) -> bool {
    reply.status == 503 && reply.cause().contains("not sure yet")
}

fn no_suspicion(known: &Known, reply: &Reply) {
    assert!(!is_suspicion(reply), "an honest client is taken for a thief: {reply:?} for {:?}", known.sid);
}
