//! People at a node whose database dies, and the ledger outside of it: what was acknowledged to whom. Each acts in
//! sequence, as an honest client does. An answer against the ledger is a panic, or is counted where commits may be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::node::{Http, Reply};
use crate::soon;

/// A session whose opening was acknowledged.
#[derive(Debug)]
struct Known {
    token: String,
    /// How often a new refresh token came.
    rotated: usize,
    ending: Ending,
}

/// What was asked to end a session.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    /// Nothing.
    None,
    /// Something that was never acknowledged.
    Asked,
    /// Something that was.
    Acknowledged,
    /// The store lost that it was ever opened.
    Lost,
}

/// What is going on, for everybody to see.
#[derive(Default)]
pub(crate) struct Stage {
    curtain: AtomicBool,
    /// Whether the store may lose what it acknowledged.
    forgetful: bool,
    /// Answers that acknowledged something.
    pub(crate) acknowledged: AtomicUsize,
    /// New refresh tokens.
    pub(crate) rotated: AtomicUsize,
    /// Endings that were acknowledged.
    pub(crate) ended: AtomicUsize,
    /// Answers "not just now".
    pub(crate) put_off: AtomicUsize,
}

impl Stage {
    fn new(forgetful: bool) -> Arc<Self> {
        Arc::new(Self { forgetful, ..Self::default() })
    }

    pub(crate) fn count(of: &AtomicUsize) -> usize {
        of.load(Ordering::SeqCst)
    }

    fn one_more(of: &AtomicUsize) {
        of.fetch_add(1, Ordering::SeqCst);
    }
}

/// One person.
pub(crate) struct Person {
    number: usize,
    sessions: Vec<Known>,
    turn: usize,
    stage: Arc<Stage>,
}

/// More live sessions than this are not opened.
const MANY: usize = 4;

/// What became of the ledger.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// Sessions that go on as they should.
    pub(crate) kept: usize,
    /// Sessions that are over as they should be.
    pub(crate) over: usize,
    /// Sessions whose opening was acknowledged, and of which nothing is known.
    pub(crate) lost: usize,
    /// Sessions whose end was acknowledged, and that go on.
    pub(crate) revived: usize,
}

/// People who act until the curtain falls.
pub(crate) struct Acting {
    pub(crate) stage: Arc<Stage>,
    acting: Vec<tokio::task::JoinHandle<Person>>,
}

impl Acting {
    pub(crate) fn begin(people: Vec<Person>, stage: Arc<Stage>, http: &Http) -> Self {
        let act = |mut person: Person| {
            let http = http.clone();
            tokio::spawn(async move {
                while !person.stage.curtain.load(Ordering::SeqCst) {
                    person.step(&http).await;
                    tokio::time::sleep(Duration::from_millis(20)).await; // the machine is the databases' too
                }
                person
            })
        };
        Self { acting: people.into_iter().map(act).collect(), stage }
    }

    /// Everybody finishes what they are doing.
    pub(crate) async fn end(self) -> Vec<Person> {
        self.stage.curtain.store(true, Ordering::SeqCst);
        let mut people = Vec::new();
        for person in self.acting {
            people.push(person.await.unwrap());
        }
        self.stage.curtain.store(false, Ordering::SeqCst);
        people
    }
}

/// So many, each with some sessions, at a store that may lose what it acknowledged or must not.
pub(crate) async fn people(count: usize, http: &Http, forgetful: bool) -> (Vec<Person>, Arc<Stage>) {
    let stage = Stage::new(forgetful);
    let mut people = Vec::new();
    for number in 0..count {
        let mut person = Person { number, sessions: Vec::new(), turn: number, stage: Arc::clone(&stage) };
        while person.sessions.len() < MANY - 1 {
            person.login(http).await;
        }
        people.push(person);
    }
    (people, stage)
}

impl Person {
    /// Mostly refreshes; now and then a log-in, and the end of another session than the first.
    async fn step(&mut self, http: &Http) {
        self.turn += 1;
        let live: Vec<usize> =
            (0..self.sessions.len()).filter(|at| self.sessions[*at].ending == Ending::None).collect();
        let Some(last) = live.last() else { return self.login(http).await };
        match self.turn % 12 {
            3 if live.len() < MANY => self.login(http).await,
            7 if live.len() > 2 => self.revoke(http, live[1]).await,
            turn => self.refresh(http, *live.get(turn % 4).unwrap_or(last)).await,
        }
    }

    async fn login(&mut self, http: &Http) {
        let reply = http.login(self.number).await;
        // A log-in that got no answer counts as a guess: the tenth is told to wait.
        if !reply.is_put_off() && reply.status != 429 && reply.status != 408 {
            assert!(reply.is_ok(), "{reply:?}");
            let token = reply.text("refresh_token").unwrap().to_owned();
            self.sessions.push(Known { token, rotated: 0, ending: Ending::None });
            Stage::one_more(&self.stage.acknowledged);
        } else {
            Stage::one_more(&self.stage.put_off);
        }
    }

    async fn refresh(&mut self, http: &Http, at: usize) {
        let reply = http.refresh(&self.sessions[at].token).await;
        if reply.is_put_off() || reply.status == 408 {
            return Stage::one_more(&self.stage.put_off);
        }
        if self.lost(&reply, at) {
            return;
        }
        self.keep(&reply, at);
        Stage::one_more(&self.stage.acknowledged);
    }

    fn keep(&mut self, reply: &Reply, at: usize) {
        assert!(reply.is_ok(), "an honest client is refused: {reply:?} for {:?}", self.sessions[at]);
        if let Some(token) = reply.text("refresh_token") {
            token.clone_into(&mut self.sessions[at].token);
            self.sessions[at].rotated += 1;
            Stage::one_more(&self.stage.rotated);
        }
    }

    /// Whether the store knows nothing of a session any more, and may: its person logs in anew.
    fn lost(&mut self, reply: &Reply, at: usize) -> bool {
        let lost = self.stage.forgetful && is_unknown(reply);
        if lost {
            self.sessions[at].ending = Ending::Lost;
        }
        lost
    }

    async fn revoke(&mut self, http: &Http, at: usize) {
        self.sessions[at].ending = Ending::Asked;
        let reply = http.revoke(&self.sessions[at].token).await;
        if reply.is_put_off() || reply.status == 408 {
            return Stage::one_more(&self.stage.put_off);
        }
        assert!(reply.is_ok(), "an ending is refused: {reply:?}");
        self.sessions[at].ending = Ending::Acknowledged;
        Stage::one_more(&self.stage.ended);
        Stage::one_more(&self.stage.acknowledged);
    }
}

/// Holds the server to the ledger.
pub(crate) async fn audit(people: &mut [Person], http: &Http) -> Audit {
    let mut audit = Audit::default();
    for person in people {
        for at in 0..person.sessions.len() {
            person.check(http, at, &mut audit).await;
        }
    }
    audit
}

impl Person {
    /// One session, asked until there is an answer.
    async fn check(&mut self, http: &Http, at: usize, audit: &mut Audit) {
        let reply = soon(async {
            loop {
                let reply = http.refresh(&self.sessions[at].token).await;
                if !reply.is_put_off() {
                    break reply;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
        .await;
        let over = reply.text("error_description") == Some("session ended: revoked");
        match (self.sessions[at].ending, reply.is_ok()) {
            (Ending::Lost, false) => audit.lost += 1,
            (Ending::None, false) if self.lost(&reply, at) => audit.lost += 1,
            (Ending::Acknowledged, true) => audit.revived += 1,
            (Ending::None | Ending::Asked | Ending::Lost, true) => {
                self.keep(&reply, at);
                audit.kept += 1;
            }
            (Ending::Asked | Ending::Acknowledged, false) if over || (self.stage.forgetful && is_unknown(&reply)) => {
                audit.over += 1;
            }
            (ending, false) => panic!("an honest client is refused: {reply:?}, {ending:?}"),
        }
    }
}

/// Whether the store knows nothing of a session.
fn is_unknown(reply: &Reply) -> bool {
    let ended = reply.text("error_description").unwrap_or_default().starts_with("session ended");
    reply.text("error") == Some("invalid_grant") && !ended
}
