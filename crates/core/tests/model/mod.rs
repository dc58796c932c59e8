//! The world around the refresh machine, small enough to be explored to its end: tabs of one browser that share a jar,
//! a network, a thief, clocks, a store that can lose commits. The machine itself is not modelled: every decision is
//! taken by `refresh::present` on a token whose MAC was derived and proved. The model never corrects it; a
//! `Variant` bends a decision only to show that the properties notice.
//!
//! **Time.** A tick is the unit; it stands for F divided by `flight` (F is the longest time from a request being sent
//! to its answer arriving). Only ages matter to the machine, so the clock stands still and a tick moves
//! every stored time into the past. An age beyond all windows is as good as any greater one and is kept at the least
//! such age. Where clocks lie apart, each decision is taken by a node whose clock is right or ahead.
//!
//! **Places.** Only where a token stands to its row matters, so after each step all positions are renumbered around the
//! oldest row that can still come back (`State::renumbered`): its head is always one number, so is its parent,
//! so are all its dead branches, so is everything earlier. Positions ahead of it keep their distance.
//!
//! By these two the state space is finite though nothing else is bounded: any number of requests, retries, rotations
//! and branches one after another, for ever. What is bounded: how many requests are on the way at once (`parallel`),
//! F in ticks, how many fail-overs there are and how many of the latest commits each can lose, one theft.
//!
//! **The network** loses, reorders and delays. A request waits until the server decides it, and its answer until it
//! arrives, in any order, both within F of the sending: that is what F means (the client stops listening, the server
//! decides nothing past its deadline). A request that is lost on its way is one that was never sent. Whether an answer
//! is lost is chosen when it is decided. A retry is one more request, at any time, with what the jar then holds.
//!
//! **The jar** holds the token of the last answer that arrived with one, whatever the order they were sent in: to
//! a client the text is opaque. All tabs share it; the thief copies it once, at any moment, and keeps a jar of its own.
//!
//! Not modelled, tested in `refresh_machine.rs`: idle and absolute limits, other clients, bound keys, key rotation, MACs.
//! I3 belongs there. I9 shows itself here too: the reachable states are finitely many.

mod rule;
mod state;

use std::fmt;

use remint_core::policy::Windows;
use remint_core::refresh::{Answer, Place, Setting};
use stateright::{Model, Property};

pub(crate) use rule::Variant;
use rule::{Invariant, Rule};
use state::{Holder, KID, Kind, Message, NOW, Row, State, TICK};

/// One world to explore: its sizes in ticks, and who lives in it.
#[derive(Clone)]
pub(crate) struct World {
    /// F.
    pub(crate) flight: u8,
    /// W.
    pub(crate) parent_window: u8,
    /// R.
    pub(crate) rotate_window: u8,
    /// How many requests can be on the way at once.
    pub(crate) parallel: usize,
    /// How many ticks a node's clock may be ahead of another's.
    pub(crate) skew: u8,
    /// Whether somebody may copy the jar.
    pub(crate) thief: bool,
    /// How many fail-overs there may be.
    pub(crate) fail_overs: u8,
    /// How many of the latest commits each may lose.
    pub(crate) lost_commits: usize,
    /// Whether the server is in doubt for W after a fail-over.
    pub(crate) in_doubt_rule: bool,
    pub(crate) rule: Rule,
}

/// One step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    /// Somebody asks with what the jar holds.
    Send(Holder),
    /// By a node whose clock is ahead by so many ticks. The answer reaches its holder in time, or is lost.
    Decide {
        request: Message,
        ahead: u8,
        reaches: bool,
    },
    Arrive(Message),
    Steal,
    /// So many of the latest commits are lost.
    FailOver {
        lost: usize,
    },
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flight, parent_window, rotate_window, parallel, skew, thief, fail_overs, lost_commits, .. } = self;
        let variant = self.rule.variant;
        write!(f, "{variant:?}, F = {flight}, W = {parent_window}, R = {rotate_window}, {parallel} requests")?;
        write!(f, ", skew {skew}, thief {thief}, {fail_overs} fail-overs of {lost_commits} commits")
    }
}

impl World {
    /// W = R = 2F, no thief, one clock, a store that keeps its commits.
    pub(crate) fn honest(variant: Variant, flight: u8, parallel: usize) -> Self {
        Self {
            flight,
            parent_window: 2 * flight,
            rotate_window: 2 * flight,
            parallel,
            skew: 0,
            thief: false,
            fail_overs: 0,
            lost_commits: 0,
            in_doubt_rule: true,
            rule: Rule::new(variant),
        }
    }

    /// The same, and somebody may copy the jar.
    pub(crate) fn with_thief(variant: Variant, flight: u8, parallel: usize) -> Self {
        Self { thief: true, ..Self::honest(variant, flight, parallel) }
    }

    /// The least age that is beyond every window on every clock.
    fn eldest(&self) -> u8 {
        self.parent_window.max(self.rotate_window) + self.skew + 1
    }

    fn setting(&self, state: &State) -> Setting {
        Setting {
            windows: Windows { parent: TICK * self.parent_window.into(), rotate: TICK * self.rotate_window.into() },
            idle: self.rule.idle(),
            current_kid: KID,
            always_return_refresh: false,
            in_doubt: state.doubt.is_some(),
        }
    }

    /// The server reads, decides, commits and answers.
    fn decided(&self, state: &State, request: Message, ahead: u8, reaches: bool) -> State {
        let now = NOW.plus(TICK * ahead.into());
        let (session, set) = (self.rule.session_of(&state.row), self.setting(state));
        let decision = self.rule.decide(&session, request.token, &set, now);
        let mut next = state.without(request);
        next.broken = self.rule.broken(&session, request.token, &decision, &set, now);
        if let Some(after) = &decision.session {
            next.before.push(std::mem::replace(&mut next.row, Row::of(after)));
            let kept = if state.fail_overs < self.fail_overs { self.lost_commits } else { 0 };
            next.before.drain(..next.before.len().saturating_sub(kept));
        }
        if decision.answer.is_ok() && self.thief {
            next.turns = state.turns.after(request.from, reaches, self.parent_window + self.skew);
        }
        if decision.answer == Ok(Answer::WithHead) && reaches {
            next.messages.push(Message { kind: Kind::Answer, token: next.row.chain.head, ..request });
        }
        next
    }

    fn message_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut messages = state.messages.clone();
        messages.dedup();
        for message in messages {
            let decide = |ahead, reaches| Action::Decide { request: message, ahead, reaches };
            match message.kind {
                Kind::Answer => actions.push(Action::Arrive(message)),
                Kind::Request => {
                    actions.extend((0..=self.skew).flat_map(|ahead| [decide(ahead, true), decide(ahead, false)]));
                }
            }
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::logged_in(self.rule.first_chain()).renumbered()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        self.message_actions(state, actions);
        if state.row.ended.is_none() {
            if state.messages.len() < self.parallel {
                actions.push(Action::Send(Holder::Tabs));
                actions.extend(state.thief.map(|_| Action::Send(Holder::Thief)));
            }
            if self.thief && state.thief.is_none() {
                actions.push(Action::Steal);
            }
            if state.fail_overs < self.fail_overs {
                actions.extend((0..=state.before.len()).map(|lost| Action::FailOver { lost }));
            }
        }
        if state.messages.iter().all(|message| message.age < self.flight) {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let next = match action {
            Action::Tick => state.ticked(self.eldest(), self.parent_window),
            Action::Send(from) => state.sent(from),
            Action::Decide { request, ahead, reaches } => self.decided(state, request, ahead, reaches),
            Action::Arrive(answer) => state.arrived(answer),
            Action::Steal => state.stolen(),
            Action::FailOver { lost } => state.failed_over(lost, self.in_doubt_rule),
        };
        Some(next.renumbered())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("I1", |_, state: &State| state.broken != Some(Invariant::I1)),
            Property::always("I2", |_, state: &State| state.broken != Some(Invariant::I2)),
            Property::always("I4", |_, state: &State| state.broken != Some(Invariant::I4)),
            Property::always("I5", |_, state: &State| state.broken != Some(Invariant::I5)),
            Property::always("I6", |_, state: &State| state.broken != Some(Invariant::I6)),
            Property::always("I7", |_, state: &State| state.thief.is_some() || state.row.ended.is_none()),
            Property::always("I8", |_, state: &State| state.turns.alternations <= 2),
            Property::always("I10", |_, state: &State| state.broken != Some(Invariant::I10)),
            Property::sometimes("a parent arrives while its child is unseen", |_, state: &State| {
                let chain = &state.row.chain;
                chain.parent_branch.is_some() && chain.place(state.jar) == Place::Parent && chain.acked_at.is_none()
            }),
        ];
        if self.thief {
            properties.push(Property::sometimes("the thief is seen", |_, state: &State| state.row.ended.is_some()));
            properties.push(Property::sometimes("thief and victim alternate twice", |_, state: &State| {
                state.turns.alternations == 2
            }));
        }
        properties
    }
}
