//! The refresh machine through its public door: a scene for every row of its table, what a token's text may be, and the
//! invariants on random rows and presentations. Many presentations interleaved are `refresh_model.rs`.

use std::time::Duration;

use proptest::prelude::*;
use remint_core::id::{ClientId, SessionId, UserId};
use remint_core::policy::{Policy, Windows};
use remint_core::refresh::{
    Answer, Chain, Decision, Genuine, KeyProof, MacKeyId, Place, Position, Presentation, RefreshToken, Setting, derive,
    present,
};
use remint_core::refusal::Refusal;
use remint_core::scope::ScopeSet;
use remint_core::secret::{MacKey, Salt};
use remint_core::session::{Continuity, Device, EndReason, Opening, Session, State};
use remint_core::time::Timestamp;
use remint_core::user::{Attributes, User};

const OPENED: Timestamp = Timestamp::from_secs(1_000_000);
/// W and R, in seconds.
const WINDOW: u64 = 30;
const DAY: u64 = 24 * 3600;
const SALT: Salt = Salt::from_bytes([5; 16]);
const OLD_KID: MacKeyId = MacKeyId(1);
const NEW_KID: MacKeyId = MacKeyId(2);

const fn at(generation: u64, branch: u32) -> Position {
    Position { generation, branch }
}

fn after(secs: u64) -> Timestamp {
    OPENED.plus(Duration::from_secs(secs))
}

fn key(kid: MacKeyId) -> MacKey {
    let mut bytes = [3; 32];
    bytes[..4].copy_from_slice(&kid.0.to_be_bytes());
    MacKey::from_bytes(&bytes)
}

fn token(kid: MacKeyId, position: Position) -> RefreshToken {
    derive(kid, &key(kid), SessionId::from_bytes([2; 16]), &SALT, position)
}

fn genuine(position: Position) -> Option<Genuine> {
    token(OLD_KID, position).prove(&key(OLD_KID), &SALT)
}

fn client() -> ClientId {
    "demo".parse().expect("a client id")
}

fn user() -> User {
    User::new(UserId::from_bytes([1; 16]), Attributes::new(), OPENED)
}

/// A row, and how it is asked: a public client of the refresh policy, a person at work, no doubt.
#[derive(Clone, Debug)]
struct Scene {
    session: Session,
    user: User,
    client: ClientId,
    proof: KeyProof,
    interactive: bool,
    set: Setting,
}

impl Scene {
    /// Logged in at [`OPENED`].
    fn logged_in() -> Self {
        let chain = Chain::new(OLD_KID, SALT, OPENED);
        let opening = Opening {
            sid: SessionId::from_bytes([2; 16]),
            continuity: Continuity::Refresh(chain),
            scope: ScopeSet::empty(),
            amr: vec!["pwd".into()],
            device: Device::default(),
        };
        let policy = Policy::refresh();
        let window = Duration::from_secs(WINDOW);
        let set = Setting {
            windows: Windows { parent: window, rotate: window },
            idle: policy.idle(),
            current_kid: OLD_KID,
            always_return_refresh: false,
            in_doubt: false,
        };
        let session = Session::open(&user(), &client(), &policy, opening, OPENED);
        Self { session, user: user(), client: client(), proof: KeyProof::None, interactive: true, set }
    }

    /// With head 5.1 and parent 4.2, delivered at [`OPENED`], not acked.
    fn midway() -> Self {
        let chain = Chain { head: at(5, 1), parent_branch: Some(2), ..Chain::new(OLD_KID, SALT, OPENED) };
        Self::logged_in().with(chain)
    }

    /// The same, with the head seen so many seconds after it was delivered.
    fn acked(secs: u64) -> Self {
        let midway = Self::midway();
        let chain = Chain { acked_at: Some(after(secs)), ..midway.chain().clone() };
        midway.with(chain)
    }

    fn with(self, chain: Chain) -> Self {
        Self { session: Session { continuity: Continuity::Refresh(chain), ..self.session }, ..self }
    }

    fn bound(self, proof: KeyProof) -> Self {
        Self { session: Session { bound_key: Some("thumbprint".into()), ..self.session }, proof, ..self }
    }

    fn in_doubt(self) -> Self {
        Self { set: Setting { in_doubt: true, ..self.set }, ..self }
    }

    fn chain(&self) -> &Chain {
        chain_of(&self.session)
    }

    fn decide(&self, token: Option<Genuine>, now: Timestamp) -> Decision {
        let (client, proof, interactive) = (&self.client, self.proof, self.interactive);
        let shown = Presentation { token, client, proof, interactive };
        present(&self.session, &self.user, &shown, &self.set, now)
    }

    /// What is decided `secs` after [`OPENED`], and the world after its commit.
    fn present(&self, position: Position, secs: u64) -> (Decision, Self) {
        let decision = self.decide(genuine(position), after(secs));
        let session = decision.session.clone().unwrap_or_else(|| self.session.clone());
        (decision, Self { session, ..self.clone() })
    }

    fn assert_refused(&self, position: Position, secs: u64, refusal: Refusal) {
        assert_eq!(self.present(position, secs).0, refused(refusal));
    }
}

fn chain_of(session: &Session) -> &Chain {
    match &session.continuity {
        Continuity::Refresh(chain) => chain,
        other => panic!("a session of the refresh policy, not {other:?}"),
    }
}

fn refused(refusal: Refusal) -> Decision {
    Decision { answer: Err(refusal), session: None, caught_up: false }
}

// --- the token's text ---

#[test]
fn a_token_reads_back_as_what_it_was() {
    for position in [at(0, 0), at(7, 3), at(u64::MAX, u32::MAX)] {
        let made = token(OLD_KID, position);
        let read: RefreshToken = made.reveal().parse().unwrap();
        assert_eq!((&read, read.sid(), read.kid()), (&made, SessionId::from_bytes([2; 16]), OLD_KID));
        assert_eq!(read.prove(&key(OLD_KID), &SALT), genuine(position));
        assert!(genuine(position).is_some());
    }
}

#[test]
fn the_longest_token_is_as_long_as_is_said() {
    let longest = token(MacKeyId(u32::MAX), at(u64::MAX, u32::MAX)).reveal();
    assert_eq!(longest.len(), RefreshToken::MAX_BYTES);
    assert!(longest.parse::<RefreshToken>().is_ok());
    assert!(format!("{longest}A").parse::<RefreshToken>().is_err());
}

#[test]
fn the_same_position_is_the_same_bytes_and_every_other_input_is_not() {
    let of = |kid, sid, salt, position| {
        let sid = SessionId::from_bytes([sid; 16]);
        derive(MacKeyId(kid), &key(MacKeyId(kid)), sid, &Salt::from_bytes([salt; 16]), position).reveal()
    };
    let one = of(1, 2, 5, at(7, 3));
    assert_eq!(of(1, 2, 5, at(7, 3)), one);
    let others = [
        of(9, 2, 5, at(7, 3)),
        of(1, 9, 5, at(7, 3)),
        of(1, 2, 9, at(7, 3)),
        of(1, 2, 5, at(9, 3)),
        of(1, 2, 5, at(7, 9)),
    ];
    let mac = |text: &str| text.rsplit('.').next().map(str::to_owned);
    assert!(others.iter().all(|other| mac(other) != mac(&one)));
}

/// I3, as the shell does it: read, find the row, prove, decide.
fn assert_changes_nothing(scene: &Scene, text: &str) {
    let Ok(read) = text.parse::<RefreshToken>() else { return };
    let proved = read.prove(&key(read.kid()), &SALT);
    assert_eq!(proved, None, "{text}");
    assert_eq!(scene.decide(proved, after(60)), refused(Refusal::WrongMac), "{text}");
}

#[test]
fn every_truncation_of_a_token_proves_nothing_and_changes_nothing() {
    let text = token(OLD_KID, at(5, 1)).reveal();
    for end in 0..text.len() {
        assert_changes_nothing(&Scene::midway(), &text[..end]);
        assert_changes_nothing(&Scene::midway(), &text[end + 1..]);
    }
}

#[test]
fn every_changed_missing_or_added_character_of_a_token_proves_nothing_and_changes_nothing() {
    let text = token(OLD_KID, at(5, 1)).reveal();
    let scene = Scene::midway();
    for place in 0..text.len() {
        let (before, behind) = (&text[..place], &text[place + 1..]);
        assert_changes_nothing(&scene, &format!("{before}{behind}"));
        for character in (0..=0x7f_u8).map(char::from).chain(['é', '\u{ff11}']) {
            assert_changes_nothing(&scene, &format!("{before}{character}{}", &text[place..]));
            if !text[place..].starts_with(character) {
                assert_changes_nothing(&scene, &format!("{before}{character}{behind}"));
            }
        }
    }
}

#[test]
fn a_number_has_one_spelling() {
    let text = token(OLD_KID, at(5, 1)).reveal();
    let parts: Vec<&str> = text.split('.').collect();
    let with = |place: usize, part: &str| {
        let mut parts = parts.clone();
        parts[place] = part;
        parts.join(".")
    };
    for place in [1, 3, 4] {
        for number in ["", "00", "01", "+1", "-1", "1_0", " 1", "1 ", "0x1", "1e1", "١", "18446744073709551616"] {
            assert!(with(place, number).parse::<RefreshToken>().is_err(), "{number:?} at {place}");
        }
        assert!(with(place, "0").parse::<RefreshToken>().is_ok());
    }
    for number in ["4294967296", "18446744073709551615"] {
        assert!(with(1, number).parse::<RefreshToken>().is_err());
        assert!(with(4, number).parse::<RefreshToken>().is_err());
    }
    for version in ["", "rt", "rt2", "RT1", "rt01"] {
        assert!(with(0, version).parse::<RefreshToken>().is_err());
    }
    assert!(format!("{text}.").parse::<RefreshToken>().is_err());
    assert!(text.replace('.', "..").parse::<RefreshToken>().is_err());
}

#[test]
fn a_token_is_never_printed() {
    let made = token(OLD_KID, at(5, 1));
    let mac = made.reveal().rsplit('.').next().unwrap().to_owned();
    let printed = format!("{made:?} {:?} {:?}", genuine(at(5, 1)), Scene::midway());
    assert!(!printed.contains(&mac) && !printed.contains(&mac[..8]), "{printed}");
}

// --- rows 0 to 4: what is refused and changes nothing ---

#[test]
fn row_0_a_wrong_mac_and_an_unknown_session_are_answered_alike() {
    let scene = Scene::midway();
    let shown = token(OLD_KID, at(5, 1));
    let dummy = Salt::from_bytes([0; 16]);
    assert_eq!(shown.prove(&key(OLD_KID), &dummy), None);
    assert_eq!(shown.prove(&key(NEW_KID), &SALT), None);
    assert_eq!(scene.decide(None, after(60)), refused(Refusal::WrongMac));
}

#[test]
fn row_0_a_proof_for_another_row_is_none() {
    let other = Salt::from_bytes([6; 16]);
    let sid = SessionId::from_bytes([2; 16]);
    let proved = derive(OLD_KID, &key(OLD_KID), sid, &other, at(5, 1)).prove(&key(OLD_KID), &other);
    assert!(proved.is_some());
    assert_eq!(Scene::midway().decide(proved, after(60)), refused(Refusal::WrongMac));
}

#[test]
fn row_0_a_session_of_another_policy_has_no_refresh_token() {
    for continuity in [Continuity::Rolling, Continuity::Fixed] {
        let mut scene = Scene::midway();
        scene.session.continuity = continuity;
        scene.assert_refused(at(5, 1), 1, Refusal::WrongMac);
    }
}

#[test]
fn row_0_comes_before_all_others() {
    let mut scene = Scene::midway().bound(KeyProof::None).in_doubt();
    scene.session = scene.session.ended(EndReason::Logout, after(1));
    scene.client = "other".parse().unwrap();
    assert_eq!(scene.decide(None, after(400 * DAY)), refused(Refusal::WrongMac));
}

#[test]
fn row_1_another_client_ends_nothing_and_learns_nothing() {
    let mut scene = Scene::midway();
    scene.client = "other".parse().unwrap();
    scene.assert_refused(at(0, 0), 60, Refusal::OtherClient);
    scene.session = scene.session.ended(EndReason::Theft, after(1));
    scene.assert_refused(at(5, 1), 60, Refusal::OtherClient);
}

#[test]
fn row_2_an_ended_session_says_why_to_every_token_for_ever() {
    for reason in EndReason::ALL {
        let mut scene = Scene::midway().bound(KeyProof::None);
        scene.session = scene.session.ended(reason, after(1));
        for position in [at(5, 1), at(4, 2), at(5, 0), at(0, 0), at(9, 0)] {
            scene.assert_refused(position, 2, Refusal::SessionEnded(reason));
            scene.assert_refused(position, 400 * DAY, Refusal::SessionEnded(reason));
        }
    }
}

#[test]
fn row_2_a_raised_epoch_ends_the_session_with_its_reason() {
    let mut scene = Scene::midway();
    scene.user = scene.user.with_new_epoch(EndReason::PasswordChanged);
    scene.assert_refused(at(5, 1), 1, Refusal::SessionEnded(EndReason::PasswordChanged));
}

#[test]
fn row_3_a_session_ends_at_its_limits_and_not_a_microsecond_before() {
    let mut scene = Scene::midway();
    let idle_at = scene.session.idle_at;
    let before = idle_at.minus(Duration::from_micros(1));
    assert!(scene.decide(genuine(at(5, 1)), before).answer.is_ok());
    assert_eq!(scene.decide(genuine(at(0, 0)), idle_at), refused(Refusal::SessionExpired));
    scene.session.idle_at = scene.session.absolute_at;
    assert_eq!(scene.decide(genuine(at(0, 0)), scene.session.absolute_at), refused(Refusal::SessionExpired));
}

#[test]
fn row_4_a_bare_string_can_neither_use_nor_end_a_bound_session() {
    let scene = Scene::midway().bound(KeyProof::None);
    for position in [at(5, 1), at(4, 2), at(5, 0), at(0, 0), at(6, 0)] {
        scene.assert_refused(position, 60, Refusal::MissingKeyProof);
        scene.clone().in_doubt().assert_refused(position, 60, Refusal::MissingKeyProof);
    }
}

// --- rows 5 to 7: the head, and ahead of it ---

#[test]
fn row_5_a_head_just_delivered_is_seen_and_kept() {
    let (decision, then) = Scene::midway().present(at(5, 1), WINDOW);
    assert_eq!(decision.answer, Ok(Answer::AccessOnly));
    assert_eq!(then.chain(), &Chain { acked_at: Some(after(WINDOW)), ..Scene::midway().chain().clone() });
    let (again, later) = Scene::acked(3).present(at(5, 1), WINDOW);
    assert_eq!((again.answer, later.chain().acked_at), (Ok(Answer::AccessOnly), Some(after(3))));
}

#[test]
fn row_5_returns_the_head_itself_to_a_client_that_asked_for_it() {
    let mut scene = Scene::midway();
    scene.set.always_return_refresh = true;
    let (decision, then) = scene.present(at(5, 1), WINDOW);
    assert_eq!(decision.answer, Ok(Answer::WithHead));
    assert_eq!(then.chain(), &Chain { acked_at: Some(after(WINDOW)), ..scene.chain().clone() });
}

#[test]
fn in_doubt_and_ahead_of_its_row_too_such_a_client_keeps_its_head() {
    let mut scene = Scene::midway();
    (scene.set.always_return_refresh, scene.set.in_doubt) = (true, true);
    let (doubted, then) = scene.present(at(5, 1), WINDOW + 1);
    assert_eq!((doubted.answer, then.chain().head), (Ok(Answer::WithHead), at(5, 1)));
    assert_eq!(scene.present(at(4, 2), 1).0.answer, Ok(Answer::AccessOnly), "a parent gets no head while in doubt");
    let (ahead, then) = scene.present(at(7, 0), 1);
    assert_eq!((ahead.answer, then.chain().head), (Ok(Answer::WithHead), at(7, 0)));
}

#[test]
fn row_6_a_head_past_its_window_is_rotated() {
    let mut scene = Scene::acked(3);
    scene.set.current_kid = NEW_KID;
    let (decision, then) = scene.present(at(5, 1), WINDOW + 1);
    assert_eq!((decision.answer, decision.caught_up), (Ok(Answer::WithHead), false));
    let delivered = after(WINDOW + 1);
    let expected = Chain {
        head: at(6, 0),
        parent_branch: Some(1),
        kid: NEW_KID,
        salt: SALT,
        delivered_at: delivered,
        acked_at: None,
    };
    assert_eq!(then.chain(), &expected);
}

#[test]
fn a_head_derived_with_a_retired_key_is_delivered_and_proved_as_before() {
    let mut scene = Scene::midway();
    scene.set.current_kid = NEW_KID;
    let (decision, then) = scene.present(at(4, 2), 1);
    assert_eq!((decision.answer, then.chain().kid), (Ok(Answer::WithHead), OLD_KID));
    let head = derive(then.chain().kid, &key(OLD_KID), then.session.sid, &then.chain().salt, then.chain().head);
    assert_eq!(head, token(OLD_KID, at(5, 1)));
    let proved = head.prove(&key(OLD_KID), &SALT);
    let rotated = then.decide(proved, after(WINDOW + 2)).session.unwrap();
    assert_eq!((chain_of(&rotated).head, chain_of(&rotated).kid), (at(6, 0), NEW_KID));
}

#[test]
fn row_7_a_token_ahead_of_the_row_says_where_the_chain_was() {
    for (ahead, parent_branch) in [(at(5, 3), Some(2)), (at(6, 4), Some(1)), (at(7, 0), None), (at(u64::MAX, 9), None)]
    {
        for scene in [Scene::acked(3), Scene::acked(3).in_doubt()] {
            let proved = token(NEW_KID, ahead).prove(&key(NEW_KID), &SALT);
            let decision = scene.decide(proved, after(60));
            assert_eq!((&decision.answer, decision.caught_up), (&Ok(Answer::AccessOnly), true));
            let (kid, now) = (NEW_KID, after(60));
            let expected =
                Chain { head: ahead, parent_branch, kid, salt: SALT, delivered_at: now, acked_at: Some(now) };
            assert_eq!(chain_of(&decision.session.unwrap()), &expected);
        }
    }
}

#[test]
fn a_line_that_has_run_out_of_numbers_expires_and_never_goes_back() {
    let last =
        |head, parent_branch| Scene::midway().with(Chain { head, parent_branch, ..Scene::midway().chain().clone() });
    last(at(u64::MAX, 7), Some(2)).assert_refused(at(u64::MAX, 7), WINDOW + 1, Refusal::SessionExpired);
    last(at(9, u32::MAX), Some(2)).assert_refused(at(8, 2), WINDOW + 1, Refusal::SessionExpired);
}

// --- rows 8 to 12: behind the head ---

#[test]
fn row_8_a_stale_tab_of_the_right_device_gets_the_head() {
    let scene = Scene::acked(0).bound(KeyProof::Valid);
    for position in [at(4, 2), at(5, 0), at(4, 1), at(0, 0)] {
        let (decision, then) = scene.present(position, 10 * WINDOW);
        assert_eq!(decision.answer, Ok(Answer::WithHead));
        assert_eq!(then.chain(), &Chain { delivered_at: after(10 * WINDOW), ..scene.chain().clone() });
    }
}

#[test]
fn a_proof_of_some_key_is_worth_nothing_on_an_unbound_row() {
    let mut scene = Scene::midway();
    scene.proof = KeyProof::Valid;
    assert_eq!(scene.present(at(0, 0), 1).0.answer, Err(Refusal::SessionEnded(EndReason::Theft)));
}

#[test]
fn row_9_a_second_tab_or_a_lost_answer_gets_the_same_head_again() {
    let (decision, then) = Scene::midway().present(at(4, 2), WINDOW);
    assert_eq!(decision.answer, Ok(Answer::WithHead));
    assert_eq!(then.chain(), &Chain { delivered_at: after(WINDOW), ..Scene::midway().chain().clone() });
    let (again, later) = then.present(at(4, 2), 2 * WINDOW);
    assert_eq!((again.answer, later.chain().head), (Ok(Answer::WithHead), at(5, 1)));
}

#[test]
fn row_10_a_parent_later_gets_a_new_branch_and_the_old_one_is_dead() {
    let mut scene = Scene::midway();
    scene.set.current_kid = NEW_KID;
    let (decision, then) = scene.present(at(4, 2), WINDOW + 1);
    assert_eq!(decision.answer, Ok(Answer::WithHead));
    let branched = Chain { head: at(5, 2), kid: NEW_KID, delivered_at: after(WINDOW + 1), ..scene.chain().clone() };
    assert_eq!(then.chain(), &branched);
    assert_eq!(then.chain().place(at(5, 1)), Place::DeadBranch);
    let (theft, _) = then.present(at(5, 1), WINDOW + 2);
    assert_eq!(theft.answer, Err(Refusal::SessionEnded(EndReason::Theft)));
}

#[test]
fn row_11_a_parent_soon_after_its_child_was_seen_gets_the_child_again() {
    let scene = Scene::acked(20);
    let (decision, then) = scene.present(at(4, 2), 20 + WINDOW);
    assert_eq!(decision.answer, Ok(Answer::WithHead));
    assert_eq!(then.chain(), &Chain { delivered_at: after(20 + WINDOW), ..scene.chain().clone() });
}

#[test]
fn row_12_a_parent_later_a_dead_branch_and_an_old_token_end_the_session() {
    let old = [at(5, 0), at(4, 1), at(4, 3), at(3, 2), at(0, 0)].map(|position| (position, 0));
    for (position, secs) in old.into_iter().chain([(at(4, 2), 20 + WINDOW + 1)]) {
        let scene = Scene::acked(20);
        let (decision, then) = scene.present(position, secs);
        assert_eq!(decision.answer, Err(Refusal::SessionEnded(EndReason::Theft)), "{position:?}");
        let ended = State::Ended { reason: EndReason::Theft, at: after(secs) };
        assert_eq!(then.session, Session { state: ended, ..scene.session });
        then.assert_refused(at(5, 1), secs, Refusal::SessionEnded(EndReason::Theft));
    }
}

#[test]
fn a_session_without_a_parent_takes_none() {
    let (_, then) = Scene::logged_in().present(at(0, 0), WINDOW + 1);
    assert_eq!((then.chain().head, then.chain().parent_branch), (at(1, 0), Some(0)));
    let orphan = Scene::midway().with(Chain { parent_branch: None, ..Scene::midway().chain().clone() });
    assert_eq!(orphan.chain().place(at(4, 0)), Place::Old);
    assert_eq!(orphan.present(at(4, 0), 1).0.answer, Err(Refusal::SessionEnded(EndReason::Theft)));
}

// --- in doubt, idle limits, clocks ---

#[test]
fn in_doubt_head_and_parent_get_access_and_only_that_the_head_was_seen_is_written() {
    for secs in [0, WINDOW, 10 * WINDOW] {
        let scene = Scene::midway().in_doubt();
        let (head, then) = scene.present(at(5, 1), secs);
        assert_eq!(head.answer, Ok(Answer::AccessOnly));
        let acked = Chain { acked_at: Some(after(secs)), ..scene.chain().clone() };
        assert_eq!(then.session, scene.clone().with(acked).session);
        for scene in [scene, Scene::acked(0).in_doubt(), Scene::acked(0).bound(KeyProof::Valid).in_doubt()] {
            let (parent, _) = scene.present(at(4, 2), secs);
            assert_eq!(parent, Decision { answer: Ok(Answer::AccessOnly), session: None, caught_up: false });
        }
    }
}

#[test]
fn in_doubt_nobody_is_called_a_thief() {
    let retry_after = Duration::from_secs(WINDOW);
    for position in [at(5, 0), at(4, 1), at(0, 0)] {
        Scene::acked(0).in_doubt().assert_refused(position, 1000, Refusal::InDoubt { retry_after });
        let (stale_tab, _) = Scene::acked(0).bound(KeyProof::Valid).in_doubt().present(position, 1000);
        assert_eq!(stale_tab.answer, Ok(Answer::WithHead));
    }
}

#[test]
fn idle_moves_with_a_person_and_not_with_a_timer() {
    for (position, secs) in [(at(5, 1), 1), (at(5, 1), 60), (at(4, 2), 1), (at(4, 2), 60), (at(6, 0), 1)] {
        let mut scene = Scene::midway();
        let (_, then) = scene.present(position, secs);
        assert_eq!(then.session.idle_at, after(secs).plus(scene.set.idle));
        assert_eq!(then.session.last_seen, after(secs));
        scene.interactive = false;
        let (_, then) = scene.present(position, secs);
        assert_eq!((then.session.idle_at, then.session.last_seen), (scene.session.idle_at, OPENED));
    }
}

#[test]
fn idle_never_reaches_beyond_absolute_and_absolute_never_moves() {
    let mut scene = Scene::midway();
    scene.session.idle_at = scene.session.absolute_at;
    let (_, then) = scene.present(at(5, 1), 89 * DAY);
    assert_eq!((then.session.idle_at, then.session.absolute_at), (after(90 * DAY), after(90 * DAY)));
}

#[test]
fn a_clock_that_went_back_makes_no_age_negative_and_moves_no_delivery_back() {
    let scene = Scene::acked(20);
    let now = OPENED.minus(Duration::from_secs(3600));
    for position in [at(5, 1), at(4, 2)] {
        let decision = scene.decide(genuine(position), now);
        assert!(decision.answer.is_ok());
        let written = decision.session.map_or(scene.chain().clone(), |session| chain_of(&session).clone());
        assert_eq!((written.delivered_at, written.acked_at), (OPENED, Some(after(20))));
    }
}

// --- the invariants, on any row and any presentation ---

fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => (0..4 * WINDOW).prop_map(after),
        1 => any::<i64>().prop_map(Timestamp::from_micros),
        1 => prop_oneof![Just(Timestamp::MAX), Just(Timestamp::from_micros(i64::MIN)), Just(Timestamp::default())],
    ]
}

fn any_generation() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..5_u64, 1 => any::<u64>(), 1 => u64::MAX - 2..=u64::MAX]
}

fn any_branch() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..4_u32, 1 => any::<u32>(), 1 => u32::MAX - 2..=u32::MAX]
}

fn any_position() -> impl Strategy<Value = Position> {
    (any_generation(), any_branch()).prop_map(|(generation, branch)| at(generation, branch))
}

fn any_chain() -> impl Strategy<Value = Chain> {
    let times = (any_time(), proptest::option::of(any_time()));
    (any_position(), proptest::option::of(any_branch()), times).prop_map(|(head, parent_branch, times)| {
        let (delivered_at, acked_at) = times;
        Chain { head, parent_branch, kid: OLD_KID, salt: SALT, delivered_at, acked_at }
    })
}

prop_compose! {
    /// Any row and any way to ask. Most are live, unbound and not in doubt.
    fn any_scene()(
        chain in any_chain(),
        limits in (any_time(), any_time()),
        windows in (0..3 * WINDOW, 0..3 * WINDOW),
        idle in prop_oneof![4 => (0..400 * DAY).prop_map(Duration::from_secs), 1 => Just(Duration::MAX)],
        (ended, bound, doubt) in (prop::bool::weighted(0.1), prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
        (proof, interactive, always) in any::<(bool, bool, bool)>(),
        roomy in prop::bool::weighted(0.8),
    ) -> Scene {
        let mut scene = Scene::logged_in().with(chain);
        scene.set.windows =
            Windows { parent: Duration::from_secs(windows.0), rotate: Duration::from_secs(windows.1) };
        (scene.set.idle, scene.set.always_return_refresh, scene.set.current_kid) = (idle, always, NEW_KID);
        if !roomy {
            scene.session.absolute_at = limits.0.max(limits.1);
            scene.session.idle_at = limits.0.min(limits.1);
        }
        if ended {
            scene.session = scene.session.ended(EndReason::Revoked, OPENED);
        }
        let proof = if proof { KeyProof::Valid } else { KeyProof::None };
        let scene = if bound { scene.bound(proof) } else { scene };
        Scene { interactive, ..if doubt { scene.in_doubt() } else { scene } }
    }
}

/// Positions close to the head, and any others.
fn near(scene: &Scene, nearby: (i64, i64), far: Option<Position>) -> Position {
    let head = scene.chain().head;
    let branch = i64::from(head.branch).saturating_add(nearby.1).clamp(0, u32::MAX.into());
    let close = at(head.generation.saturating_add_signed(nearby.0), branch.try_into().unwrap_or(u32::MAX));
    let parent = scene.chain().parent_branch.filter(|_| nearby == (-1, 0));
    far.unwrap_or(Position { branch: parent.unwrap_or(close.branch), ..close })
}

prop_compose! {
    fn any_presentation()(
        scene in any_scene(),
        nearby in (-2..=2_i64, -2..=2_i64),
        parent in prop::bool::weighted(0.3),
        far in proptest::option::weighted(0.1, any_position()),
        now in any_time(),
    ) -> (Scene, Position, Timestamp) {
        let position = near(&scene, if parent { (-1, 0) } else { nearby }, far);
        (scene, position, now)
    }
}

/// Whether rows 0 to 4 let it pass.
fn admitted(scene: &Scene, now: Timestamp) -> bool {
    let proved = scene.session.bound_key.is_none() || scene.proof == KeyProof::Valid;
    scene.session.over(&scene.user, now).is_none() && proved
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// And never panics, whatever the row, the token and the clock say.
    #[test]
    fn i1_a_line_never_goes_back_and_rises_where_a_new_head_is_given((scene, position, now) in any_presentation()) {
        let decision = scene.decide(genuine(position), now);
        let old = scene.chain();
        let new = decision.session.as_ref().map_or(old, chain_of);
        prop_assert!(new.head >= old.head);
        prop_assert!(new.delivered_at >= old.delivered_at);
        prop_assert_eq!(new.head > old.head, (new.head, new.parent_branch, new.kid) != (old.head, old.parent_branch, old.kid));
        if new.head > old.head {
            prop_assert_eq!(decision.caught_up, old.place(position) == Place::Ahead);
            prop_assert_eq!(new.kid, if decision.caught_up { OLD_KID } else { NEW_KID });
        }
    }

    #[test]
    fn i3_what_is_not_proved_changes_nothing((scene, _, now) in any_presentation()) {
        prop_assert_eq!(scene.decide(None, now), refused(Refusal::WrongMac));
    }

    #[test]
    fn i4_theft_is_a_stale_token_on_an_unbound_live_row_and_nothing_else((scene, position, now) in any_presentation()) {
        let chain = scene.chain();
        let unbound = admitted(&scene, now) && scene.session.bound_key.is_none() && !scene.set.in_doubt;
        let seen_long_ago = chain.acked_at.is_some_and(|acked| now.since(acked) > scene.set.windows.parent);
        let stale = match chain.place(position) {
            Place::DeadBranch | Place::Old => true,
            Place::Parent => seen_long_ago,
            Place::Head | Place::Ahead => false,
        };
        let decision = scene.decide(genuine(position), now);
        let theft = State::Ended { reason: EndReason::Theft, at: now };
        let ended = decision.session.as_ref().is_some_and(|session| session.state == theft);
        prop_assert_eq!(ended, unbound && stale);
        prop_assert!(!ended || decision.answer == Err(Refusal::SessionEnded(EndReason::Theft)));
    }

    #[test]
    fn i5_an_ended_session_stays_as_it_is((scene, position, now) in any_presentation()) {
        let ended = Scene { session: scene.session.ended(EndReason::Logout, OPENED), ..scene };
        let decision = ended.decide(genuine(position), now);
        prop_assert!(matches!(decision.answer, Err(Refusal::SessionEnded(_))));
        prop_assert_eq!(decision.session, None);
    }

    #[test]
    fn i6_absolute_never_moves_and_bounds_idle((scene, position, now) in any_presentation()) {
        if let Some(after) = scene.decide(genuine(position), now).session {
            prop_assert_eq!(after.absolute_at, scene.session.absolute_at);
            prop_assert!(after.idle_at <= after.absolute_at);
            prop_assert!(after.last_seen >= scene.session.last_seen);
            prop_assert!(scene.interactive || after.idle_at == scene.session.idle_at);
        }
    }

    /// Chain, state and times are of constant size; all else, texts and sets included, is what it was.
    #[test]
    fn i9_a_row_does_not_grow((scene, position, now) in any_presentation()) {
        let before = &scene.session;
        if let Some(after) = scene.decide(genuine(position), now).session {
            let (state, continuity) = (before.state, before.continuity.clone());
            let (idle_at, last_seen) = (before.idle_at, before.last_seen);
            prop_assert_eq!(chain_of(&after).salt, scene.chain().salt);
            prop_assert_eq!(&Session { state, continuity, idle_at, last_seen, ..after }, before);
        }
    }

    #[test]
    fn i10_a_replay_of_a_replay_is_that_replay((scene, position, now) in any_presentation()) {
        let replay = |scene: &Scene| {
            let decision = scene.decide(genuine(position), now);
            let session = decision.session.clone().unwrap_or_else(|| scene.session.clone());
            (decision.answer, Scene { session, ..scene.clone() })
        };
        let (first, once) = replay(&scene);
        let (second, twice) = replay(&once);
        let (third, thrice) = replay(&twice);
        prop_assert_eq!(&third, &second);
        prop_assert_eq!(&thrice.session, &twice.session);
        prop_assert_eq!(first.is_ok(), second.is_ok());
        if first == Ok(Answer::WithHead) {
            prop_assert_eq!(once.chain().head, twice.chain().head);
        }
    }

    #[test]
    fn a_no_writes_nothing_but_theft_and_doubt_nothing_but_what_is_sure((scene, position, now) in any_presentation()) {
        let decision = scene.decide(genuine(position), now);
        let written = decision.session.as_ref();
        if decision.answer.is_err() && written.is_some() {
            prop_assert_eq!(&decision.answer, &Err(Refusal::SessionEnded(EndReason::Theft)));
            prop_assert_eq!(written.map(chain_of), Some(scene.chain()));
        }
        let sure = matches!(scene.chain().place(position), Place::Head | Place::Parent);
        if let Some(after) = written.filter(|_| scene.set.in_doubt && sure) {
            let acked = Chain { acked_at: Some(now), ..scene.chain().clone() };
            prop_assert_eq!(after, &scene.clone().with(acked).session);
        }
    }

    /// I2: over a life of presentations of every token ever given, at any intervals.
    #[test]
    fn i2_different_heads_are_given_more_than_a_window_apart(
        steps in proptest::collection::vec((0..=2 * WINDOW, any::<prop::sample::Index>()), 1..60),
    ) {
        let mut scene = Scene::logged_in();
        let (mut known, mut given, mut secs) = (vec![at(0, 0)], (at(0, 0), 0), 0);
        for (wait, which) in steps {
            secs += wait;
            let (decision, then) = scene.present(known[which.index(known.len())], secs);
            let head = then.chain().head;
            if decision.answer == Ok(Answer::WithHead) {
                prop_assert!(head == given.0 || secs - given.1 > WINDOW, "{head:?} after {given:?} at {secs}");
                given = (head, secs);
                known.push(head);
            }
            if decision.answer.is_err() {
                break;
            }
            scene = then;
        }
    }

    #[test]
    fn no_text_panics(text in "(rt1|rt2)?\\.?[0-9]{0,21}[.][A-Za-z0-9_-]{20,24}[.][0-9]{0,21}[.][0-9]{0,11}[.]\\PC{0,50}") {
        assert_changes_nothing(&Scene::midway(), &text);
    }
}
