//! What there is in the world at one moment, how it ages, and the numbering that keeps it small.

use std::fmt;
use std::time::Duration;

use remint_core::refresh::{Chain, MacKeyId, Place, Position};
use remint_core::session::{EndReason, Session, State as Life};
use remint_core::time::Timestamp;

use super::rule::{Invariant, chain_of};

/// Where the clock stands.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_000);
pub(crate) const TICK: Duration = Duration::from_secs(1);
pub(crate) const KID: MacKeyId = MacKeyId(1);

const HEAD: Position = Position { generation: 2, branch: 1 };
const DEAD: Position = Position { generation: 2, branch: 0 };
const PARENT: Position = Position { generation: 1, branch: 0 };
const OLD: Position = Position { generation: 0, branch: 0 };

/// Who presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Holder {
    Tabs,
    Thief,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Request,
    Answer,
}

/// A request on its way to the server, or its answer on the way back; gone after F.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Message {
    pub(crate) from: Holder,
    pub(crate) kind: Kind,
    /// The token presented, or the token that the answer carries.
    pub(crate) token: Position,
    /// Ticks since the request was sent.
    pub(crate) age: u8,
}

/// What the store keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) chain: Chain,
    pub(crate) ended: Option<EndReason>,
}

impl Row {
    pub(crate) fn of(session: &Session) -> Self {
        let ended = match session.state {
            Life::Live => None,
            Life::Ended { reason, .. } => Some(reason),
        };
        Self { chain: chain_of(session).clone(), ended }
    }

    /// A tick later. Ages beyond `eldest` ticks are all the same.
    fn age(&mut self, eldest: u8) {
        let earliest = NOW.minus(TICK * eldest.into());
        for time in std::iter::once(&mut self.chain.delivered_at).chain(&mut self.chain.acked_at) {
            *time = time.minus(TICK).max(earliest);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) row: Row,
    /// The rows before the latest commits, oldest first: a fail-over may bring one back.
    pub(crate) before: Vec<Row>,
    /// How many fail-overs there were.
    pub(crate) fail_overs: u8,
    /// Ticks since the last fail-over, while the server is in doubt.
    pub(crate) doubt: Option<u8>,
    pub(crate) jar: Position,
    /// The thief's own jar, after the theft.
    pub(crate) thief: Option<Position>,
    /// In order, so that states that differ in nothing else are one.
    pub(crate) messages: Vec<Message>,
    pub(crate) turns: Turns,
    /// The first invariant that a decision broke. Nothing happens after that.
    pub(crate) broken: Option<Invariant>,
}

impl State {
    /// Just logged in: the jar holds the first head.
    pub(crate) fn logged_in(chain: Chain) -> Self {
        Self {
            jar: chain.head,
            row: Row { chain, ended: None },
            before: Vec::new(),
            fail_overs: 0,
            doubt: None,
            thief: None,
            messages: Vec::new(),
            turns: Turns::LOG_IN,
            broken: None,
        }
    }

    pub(crate) fn sent(&self, from: Holder) -> Self {
        let token = match from {
            Holder::Tabs => self.jar,
            Holder::Thief => self.thief.unwrap_or(self.jar),
        };
        let mut next = self.clone();
        next.messages.push(Message { from, kind: Kind::Request, token, age: 0 });
        next
    }

    /// The message is on its way no more.
    pub(crate) fn without(&self, message: Message) -> Self {
        let mut next = self.clone();
        if let Some(at) = next.messages.iter().position(|other| *other == message) {
            next.messages.swap_remove(at);
        }
        next
    }

    /// A token in an answer replaces what the jar held.
    pub(crate) fn arrived(&self, answer: Message) -> Self {
        let next = self.without(answer);
        match answer.from {
            Holder::Tabs => Self { jar: answer.token, ..next },
            Holder::Thief => Self { thief: Some(answer.token), ..next },
        }
    }

    pub(crate) fn stolen(&self) -> Self {
        Self { thief: Some(self.jar), ..self.clone() }
    }

    /// A tick later.
    pub(crate) fn ticked(&self, eldest: u8, parent_window: u8) -> Self {
        let mut next = self.clone();
        next.row.age(eldest);
        next.before.iter_mut().for_each(|row| row.age(eldest));
        next.messages.iter_mut().for_each(|message| message.age += 1);
        next.doubt = self.doubt.map(|ticks| ticks + 1).filter(|ticks| *ticks <= parent_window);
        next.turns.since = (self.turns.since + 1).min(eldest);
        next
    }

    /// The latest `lost` commits never were; from now on the server is in doubt, if it knows.
    pub(crate) fn failed_over(&self, lost: usize, in_doubt_rule: bool) -> Self {
        let mut next = self.clone();
        if lost > 0 {
            next.row = next.before.swap_remove(next.before.len() - lost);
        }
        next.before.clear();
        next.fail_overs += 1;
        next.doubt = in_doubt_rule.then_some(0);
        next
    }

    /// Numbers all positions anew around the oldest row that can still come back.
    pub(crate) fn renumbered(mut self) -> Self {
        let oldest = self.before.first().unwrap_or(&self.row).chain.clone();
        let anew = |position: Position| renumber(&oldest, position);
        for row in std::iter::once(&mut self.row).chain(&mut self.before) {
            let head = row.chain.head;
            let parent = |branch| Position { generation: head.generation.saturating_sub(1), branch };
            row.chain.parent_branch = row.chain.parent_branch.map(|branch| anew(parent(branch)).branch);
            row.chain.head = anew(head);
        }
        self.jar = anew(self.jar);
        self.thief = self.thief.map(anew);
        self.messages.iter_mut().for_each(|message| message.token = anew(message.token));
        self.messages.sort_unstable();
        self
    }
}

/// What is ahead of the oldest row keeps its distance; what is behind is only one of three things.
fn renumber(oldest: &Chain, position: Position) -> Position {
    let Position { generation, branch } = position;
    match oldest.place(position) {
        Place::Head => HEAD,
        Place::Parent => PARENT,
        Place::DeadBranch => DEAD,
        Place::Old => OLD,
        Place::Ahead if generation == oldest.head.generation => {
            Position { branch: HEAD.branch + (branch - oldest.head.branch), ..HEAD }
        }
        Place::Ahead => Position { generation: HEAD.generation + (generation - oldest.head.generation), branch },
    }
}

/// I8 counted. A *turn* is a run of yeses to one holder with none to the other between. It is *far* if more than W went
/// by between the other's last yes and its first one, and a *success* once an answer of it reaches its holder. The
/// counter says how many successes in far turns thief and victim had in alternation. A turn that is not far begins
/// anew: while they stay within W of each other they are two tabs to the server. Within W means on some node's clock:
/// where clocks lie apart, a turn is far if it is on all of them. The bound is that of a store that keeps its commits
/// and is not in doubt: each fail-over can add to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Turns {
    holder: Holder,
    far: bool,
    /// Ticks since the last yes.
    since: u8,
    /// Whose success was counted last.
    counted: Option<Holder>,
    /// Not counted beyond 3, one more than I8 allows.
    pub(crate) alternations: u8,
}

impl Turns {
    /// Log-in is a yes to the tabs.
    const LOG_IN: Self = Self { holder: Holder::Tabs, far: false, since: 0, counted: None, alternations: 0 };

    /// After a yes to `holder`, which may have reached it.
    pub(crate) fn after(self, holder: Holder, reached: bool, window: u8) -> Self {
        let far = if holder == self.holder { self.far } else { self.since > window };
        let turn = Self { holder, far, since: 0, ..self };
        if !far {
            Self { counted: None, alternations: 0, ..turn }
        } else if reached && self.counted != Some(holder) {
            Self { counted: Some(holder), alternations: (self.alternations + 1).min(3), ..turn }
        } else {
            turn
        }
    }
}

/// The token by its place to the oldest row that can come back.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.token {
            HEAD => "the head",
            PARENT => "the parent",
            DEAD => "a dead branch",
            OLD => "an old one",
            _ => "one ahead",
        };
        write!(f, "{:?} of {:?} with {place}, sent {} ago", self.kind, self.from, self.age)
    }
}
