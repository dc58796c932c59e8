//! The rule under test: `refresh::present`, on tokens derived and proved, and the variants of it that are known to be
//! wrong. What a single decision may not do is judged here.

use std::time::Duration;

use remint_core::id::{ClientId, SessionId, UserId};
use remint_core::policy::Policy;
use remint_core::refresh::{
    Answer, Chain, Decision, KeyProof, Place, Position, Presentation, Setting, derive, present,
};
use remint_core::refusal::Refusal;
use remint_core::scope::ScopeSet;
use remint_core::secret::{MacKey, Salt};
use remint_core::session::{Continuity, Device, EndReason, Opening, Session, State as Life};
use remint_core::time::Timestamp;
use remint_core::user::{Attributes, User};

use super::state::{KID, NOW, Row};

/// The rule that is shipped, or one that is known to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// `refresh::present` as it is.
    Shipped,
    /// A parent is always theft: each token can be used once.
    StrictUse,
    /// A token one step old is always accepted, as long as nothing older was seen.
    OneStepOld,
    /// Row 5 answers with the token that was presented.
    Echo,
}

/// The invariants of ARCHITECTURE.md that a single decision can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Invariant {
    I1,
    I2,
    I4,
    I5,
    I6,
    I10,
}

/// The rule, with the user, the session and the key that it is tried on.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) variant: Variant,
    key: MacKey,
    user: User,
    client: ClientId,
    /// All of the session but its chain and its end, which are the state's.
    session: Session,
}

impl Rule {
    pub(crate) fn new(variant: Variant) -> Self {
        let client: ClientId = "demo".parse().expect("a client id");
        let user = User::new(UserId::from_bytes([1; 16]), Attributes::new(), NOW);
        let opening = Opening {
            sid: SessionId::from_bytes([2; 16]),
            continuity: Continuity::Refresh(Chain::new(KID, Salt::from_bytes([5; 16]), NOW)),
            scope: ScopeSet::empty(),
            amr: Vec::new(),
            device: Device::default(),
        };
        let session = Session::open(&user, &client, &Policy::refresh(), opening, NOW);
        Self { variant, key: MacKey::from_bytes(&[3; 32]), user, client, session }
    }

    pub(crate) fn first_chain(&self) -> Chain {
        chain_of(&self.session).clone()
    }

    pub(crate) fn idle(&self) -> Duration {
        Policy::refresh().idle()
    }

    pub(crate) fn session_of(&self, row: &Row) -> Session {
        let state = row.ended.map_or(Life::Live, |reason| Life::Ended { reason, at: NOW });
        Session { continuity: Continuity::Refresh(row.chain.clone()), state, ..self.session.clone() }
    }

    /// What is shipped decides; the variant bends it.
    pub(crate) fn decide(&self, session: &Session, token: Position, set: &Setting, now: Timestamp) -> Decision {
        let chain = chain_of(session);
        let genuine = derive(chain.kid, &self.key, session.sid, &chain.salt, token).prove(&self.key, &chain.salt);
        let shown = Presentation { token: genuine, client: &self.client, proof: KeyProof::None, interactive: false };
        let decision = present(session, &self.user, &shown, set, now);
        let live = session.state == Life::Live;
        match (self.variant, chain.place(token)) {
            (Variant::StrictUse, Place::Parent) if live => Decision {
                answer: Err(Refusal::SessionEnded(EndReason::Theft)),
                session: Some(session.ended(EndReason::Theft, now)),
                ..decision
            },
            (Variant::OneStepOld, Place::Parent) if live => {
                let delivered = Chain { delivered_at: chain.delivered_at.max(now), ..chain.clone() };
                let after = Session { continuity: Continuity::Refresh(delivered), ..session.clone() };
                Decision { answer: Ok(Answer::WithHead), session: Some(after), ..decision }
            }
            (Variant::Echo, Place::Head) if decision.answer == Ok(Answer::AccessOnly) => {
                Decision { answer: Ok(Answer::WithHead), ..decision }
            }
            _ => decision,
        }
    }

    /// The invariant that this decision breaks, if it breaks one.
    pub(crate) fn broken(
        &self,
        before: &Session,
        token: Position,
        decision: &Decision,
        set: &Setting,
        now: Timestamp,
    ) -> Option<Invariant> {
        let after = decision.session.as_ref().unwrap_or(before);
        let (was, is) = (chain_of(before), chain_of(after));
        let (live, lives) = (before.state == Life::Live, after.state == Life::Live);
        let stale = matches!(was.place(token), Place::DeadBranch | Place::Old);
        let window = set.windows.parent.min(set.windows.rotate);
        let replay = |session: &Session| {
            let Decision { answer, session: written, .. } = self.decide(session, token, set, now);
            (answer, written.unwrap_or_else(|| session.clone()))
        };
        let second = replay(after);
        let rules = [
            (Invariant::I1, is.head >= was.head && is.delivered_at >= was.delivered_at),
            (Invariant::I2, is.head == was.head || decision.caught_up || now.since(was.delivered_at) > window),
            (Invariant::I4, !(stale && live) || set.in_doubt || !lives),
            (Invariant::I5, live || (decision.answer.is_err() && decision.session.is_none())),
            (Invariant::I6, after.absolute_at == before.absolute_at && after.idle_at <= after.absolute_at),
            (Invariant::I10, replay(&second.1) == second),
        ];
        rules.into_iter().find(|(_, holds)| !holds).map(|(invariant, _)| invariant)
    }
}

/// The chain of a session of the refresh policy.
pub(crate) fn chain_of(session: &Session) -> &Chain {
    match &session.continuity {
        Continuity::Refresh(chain) => chain,
        other => unreachable!("a session of the refresh policy, not {other:?}"),
    }
}
