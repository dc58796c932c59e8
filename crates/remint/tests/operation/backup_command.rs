//! `remint backup` and `remint restore`, as the operator types them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::place::Place;

#[test]
fn a_running_server_is_copied_into_a_file_of_its_owner_and_nothing_is_overwritten() {
    let place = Place::new();
    let server = place.serve();
    place.json(&["user", "create", "ada", "--no-password"]);
    let made = place.json(&["backup", "copy"]);
    assert_eq!((&made["users"], &made["live_sessions"]), (&json!(1), &json!(0)));
    assert_eq!(fs::metadata(place.path("copy")).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(place.path("copy")).unwrap();
    let (code, message) = place.refused(&["backup", "copy"]);
    assert!(code == 2 && message.contains("is there already"), "{message}");
    assert_eq!(fs::read(place.path("copy")).unwrap(), before);
    assert!(!place.path("copy.partial").exists() && !place.path("data/backup.partial").exists(), "nothing is left");
    assert_eq!(server.stopped(), Some(0));
    place.json(&["backup", "cold"]);
    assert_eq!(place.refused(&["backup", "nowhere/copy"]).0, 1);
}

#[test]
fn a_backup_is_restored_into_an_empty_directory_and_served() {
    let place = Place::new();
    let server = place.serve();
    place.json(&["user", "create", "ada", "--no-password"]);
    place.json(&["backup", "copy"]);
    place.json(&["user", "create", "late", "--no-password"]);
    let (code, message) = place.refused(&["restore", "copy"]);
    assert!(code == 1 && message.contains("in use"), "the server runs there: {message}");
    assert_eq!(server.stopped(), Some(0));
    let (code, message) = place.refused(&["restore", "copy"]);
    assert!(code == 2 && message.contains("nothing is overwritten"), "{message}");

    let told = place.json(&["restore", "copy", "--data", "new"]);
    assert_eq!(told["made_by_backup"], json!(true));
    let text = told.to_string();
    assert!(text.contains("sessions that ended after the backup") && text.contains("--end-all-sessions"), "{text}");
    let _server = place.serve_with(&["--data", "new"], &[]);
    assert_eq!(place.json(&["user", "show", "ada", "--data", "new"])["status"], json!("active"));
    assert_eq!(place.refused(&["user", "show", "late", "--data", "new"]).0, 3);
}

#[test]
fn a_restore_with_another_master_key_says_so_and_leaves_nothing() {
    let place = Place::new();
    drop(place.serve());
    place.json(&["backup", "copy"]);
    place.private("key", &crate::place::KEY.chars().rev().collect::<String>());
    let (code, message) = place.refused(&["restore", "copy", "--data", "new"]);
    assert!(code == 1 && message.contains("master key"), "{message}");
    assert!(!place.path("new/remint.db").exists() && !place.path("new/restoring.db").exists());
    let (code, message) = place.refused(&["restore", "key", "--data", "new"]);
    assert!(code == 2 && message.contains("no backup of Remint: name another file"), "{message}");
    let (code, message) = place.refused(&["restore", "nothing", "--data", "new"]);
    assert!(code == 2 && message.contains("Name the file of a backup"), "{message}");
}
