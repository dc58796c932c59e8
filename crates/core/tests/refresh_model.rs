//! The refresh machine explored through every reachable state, and wrong rules explored until they show it. The world
//! that the machine lives in, and what of it is bounded, is described in `model/mod.rs`.
//!
//! A larger world is one more line in [`HONEST`], [`ROBBED`] or [`FAILING`]; each test prints how many states it saw.

#![expect(clippy::print_stdout, reason = "how much was explored, and the way to a broken invariant, are for people")]

mod model;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use model::{Variant, World};
use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// F in ticks, and requests on the way at once.
const HONEST: [(u8, usize); 8] = [(1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5), (3, 3), (3, 4)];
/// The same, where somebody copies the jar.
const ROBBED: [(u8, usize); 3] = [(1, 2), (1, 3), (2, 2)];
/// Fail-overs, and how many of the latest commits each may lose, at F = 1 with 3 requests.
const FAILING: [(u8, usize); 4] = [(1, 1), (1, 3), (2, 1), (2, 2)];

/// The broken invariants of a world, after all of it has been explored.
///
/// Panics where something that should be possible there is not: then the exploration would prove nothing.
fn broken(world: World) -> BTreeSet<&'static str> {
    let checker = world.clone().checker().spawn_bfs().join();
    let seen = checker.discoveries();
    println!("{world:?}: {} states", checker.unique_state_count());
    let mut broken = BTreeSet::new();
    for property in checker.model().properties() {
        match (property.expectation, seen.contains_key(property.name)) {
            (Expectation::Always, true) => drop(broken.insert(property.name)),
            (Expectation::Sometimes, seen) => assert!(seen, "never reached: {}", property.name),
            _ => {}
        }
    }
    if let Some(name) = broken.first() {
        println!("{}", way_to(&world, name));
    }
    broken
}

/// The shortest way to a broken invariant, a step a line: the world is explored one step deeper until it is found.
fn way_to(world: &World, name: &'static str) -> String {
    let within = |depth| {
        let wanted = HasDiscoveries::AnyOf(BTreeSet::from([name]));
        let checker = world.clone().checker().target_max_depth(depth).finish_when(wanted);
        checker.spawn_bfs().join().discovery(name)
    };
    let path = (2..100).find_map(within).expect("a broken invariant has a way to it");
    let mut way = format!("{name} is broken after:");
    for action in path.into_actions() {
        let _ = write!(way, "\n  {action:?}");
    }
    way
}

const NONE: [&str; 0] = [];

fn assert_breaks(world: World, invariants: impl IntoIterator<Item = &'static str>) {
    assert_eq!(broken(world.clone()), BTreeSet::from_iter(invariants), "{world:?}");
}

#[test]
fn no_theft_is_seen_where_there_was_none() {
    for (flight, parallel) in HONEST {
        assert_breaks(World::honest(Variant::Shipped, flight, parallel), NONE);
    }
}

#[test]
fn after_a_theft_thief_and_victim_alternate_at_most_twice() {
    for (flight, parallel) in ROBBED {
        assert_breaks(World::with_thief(Variant::Shipped, flight, parallel), NONE);
    }
}

#[test]
fn clocks_a_tick_apart_let_them_alternate_no_more_often() {
    let apart = World { skew: 1, parent_window: 3, rotate_window: 3, ..World::with_thief(Variant::Shipped, 1, 2) };
    assert_breaks(apart, NONE);
}

#[test]
fn clocks_a_tick_apart_need_windows_a_tick_longer() {
    for (flight, parallel) in [(1, 4), (2, 3)] {
        let apart = World { skew: 1, ..World::honest(Variant::Shipped, flight, parallel) };
        let window = 2 * flight + 1;
        assert_breaks(World { parent_window: window, rotate_window: window, ..apart.clone() }, NONE);
        assert_breaks(apart, ["I7"]);
    }
}

#[test]
fn commits_lost_in_a_fail_over_make_no_thief_of_an_honest_user() {
    for (fail_overs, lost_commits) in FAILING {
        assert_breaks(World { fail_overs, lost_commits, ..World::honest(Variant::Shipped, 1, 3) }, NONE);
    }
}

#[test]
fn commits_lost_in_a_fail_over_do_so_where_the_server_is_never_in_doubt() {
    let sure = World { in_doubt_rule: false, ..World::honest(Variant::Shipped, 1, 3) };
    assert_breaks(World { fail_overs: 1, lost_commits: 1, ..sure }, ["I7"]);
}

#[test]
fn a_parent_window_a_tick_short_is_found_out() {
    for (flight, parallel) in [(1, 3), (2, 3)] {
        let world = World::honest(Variant::Shipped, flight, parallel);
        assert_breaks(World { parent_window: 2 * flight - 1, ..world }, ["I7"]);
    }
}

#[test]
fn a_rotation_window_a_tick_short_is_found_out() {
    for (flight, parallel) in [(1, 3), (2, 3)] {
        let world = World::honest(Variant::Shipped, flight, parallel);
        assert_breaks(World { rotate_window: 2 * flight - 1, ..world }, ["I7"]);
    }
}

#[test]
fn strict_single_use_is_found_out() {
    assert_breaks(World::honest(Variant::StrictUse, 1, 3), ["I7"]);
}

#[test]
fn an_echo_of_the_presented_token_is_found_out() {
    assert_breaks(World::honest(Variant::Echo, 1, 3), ["I7"]);
}

#[test]
fn accepting_every_token_one_step_old_is_found_out() {
    assert_breaks(World::with_thief(Variant::OneStepOld, 1, 2), ["I8"]);
}
