//! `remint migrate` as the operator types it: the commands of the guide, as they stand there; and what is left when it is
//! killed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::place::{Place, Running};

const GUIDE: &str = include_str!("../../../../docs/guides/postgresql.md");

/// The commands of a block of the guide.
fn block(marked: &str) -> String {
    let begin = format!("```sh {marked}\n");
    let (_, rest) = GUIDE.split_once(&begin).unwrap_or_else(|| panic!("no block `{marked}`"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// Runs them in the place, with this program.
fn typed(place: &Place, commands: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_remint")).parent().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-euc", commands]).current_dir(place.path("")).env_clear();
    shell.env("PATH", format!("{}:/usr/bin:/bin", programs.display())).stdin(Stdio::null()).output().unwrap()
}

fn well(output: &Output) -> (String, String) {
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{told}");
    (said.into_owned(), told.into_owned())
}

/// A database, and its URL with a password in `database.url`.
fn database(place: &Place) -> String {
    let name = Cluster::shared().new_database();
    let url = Cluster::shared().url(&name).replace("remint@", "remint:hunter2@");
    place.private("database.url", &url);
    name
}

/// The server as the guide starts it.
fn serve(place: &Place) -> Running {
    assert!(block("serve there").ends_with("remint serve\n"), "what follows is that");
    place.serve_with(&[], &[("REMINT_DATABASE_FILE", "database.url")])
}

fn user(place: &Place, name: &str) -> Value {
    place.json(&["user", "show", name])
}

#[test]
fn the_guide_leads_into_a_database_and_back() {
    let place = Place::new();
    database(&place);
    let server = place.serve();
    place.json(&["user", "create", "ada", "--no-password"]);
    let (ada, key) = (user(&place, "ada"), place.json(&["key", "list"]));
    let refused = typed(&place, &block("run there"));
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in use by another process"), "{refused:?}");
    assert_eq!(server.stopped(), Some(0));

    let (said, told) = well(&typed(&place, &block("run there")));
    assert!(told.contains("users: 1 rows, read back and the same"), "{told}");
    assert!(said.contains("TABLE") && said.contains("start the server with its data in"), "{said}");
    assert!(!format!("{said}{told}").contains("hunter2"));
    let again = typed(&place, &block("run there"));
    assert!(again.status.code() == Some(2), "nothing is overwritten: {again:?}");
    std::fs::remove_file(place.path("data/remint.db")).unwrap();
    let server = serve(&place);
    assert_eq!((user(&place, "ada"), place.json(&["key", "list"])), (ada, key));
    place.json(&["user", "create", "bob", "--no-password"]);
    let backup = place.remint_with(&["backup", "copy"], &[("REMINT_DATABASE_FILE", "database.url")]);
    assert!(backup.status.code() == Some(2) && String::from_utf8_lossy(&backup.stderr).contains("pg_dump"));
    assert_eq!(server.stopped(), Some(0));

    let (said, _) = well(&typed(&place, &block("run raise")));
    assert!(said.contains("sessions that ended after the backup") && said.contains("--end-all-sessions"), "{said}");
    well(&typed(&place, &block("run back")));
    let server = place.serve_with(&["--data", "data-again"], &[]);
    for name in ["ada", "bob"] {
        assert_eq!(place.json(&["user", "show", name, "--data", "data-again"])["status"], json!("active"));
    }
    assert_eq!(server.stopped(), Some(0));
}

#[test]
fn one_that_is_killed_leaves_what_no_server_serves_and_the_next_one_ends_it() {
    let place = Place::new();
    let name = database(&place);
    assert_eq!(place.serve().stopped(), Some(0));
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) \
                INSERT INTO counters SELECT 'key ' || i, 1, 1, 9000000000000000 FROM n";
    rusqlite::Connection::open(place.path("data/remint.db")).unwrap().execute_batch(many).unwrap();
    let with = [("REMINT_DATABASE_FILE", "database.url")];
    let start = |arguments: &[&str], until: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_remint"))
            .args(["--json", "migrate"])
            .args(arguments)
            .current_dir(place.path(""))
            .env_clear()
            .envs(with)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let told: BTreeMap<String, Value> =
            serde_json::from_str(&lines.find(|line| line.contains(until)).unwrap()).unwrap();
        assert_eq!(told["verified"], json!(true));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it was not over");
    };

    start(&["--from", "sqlite:data/remint.db"], "\"clients\""); // before the counters are all there
    let refused = place.remint_with(&["serve"], &with);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("not all is in") && told.contains("remint migrate"), "{told}");
    let count = || Cluster::shared().ask(&name, "SELECT COUNT(*)::TEXT FROM pg_tables WHERE schemaname = 'public'");
    assert_eq!(count(), ["1"], "but the mark there is nothing");
    assert!(place.remint_with(&["migrate", "--from", "sqlite:data/remint.db"], &with).status.success());

    start(&["--to", "sqlite:back/remint.db"], "\"clients\"");
    let refused = place.remint(&["serve", "--data", "back"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not all is in"), "{refused:?}");
    assert!(place.remint_with(&["migrate", "--to", "sqlite:back/remint.db"], &with).status.success());
    assert_eq!(place.serve_with(&["--data", "back"], &[]).stopped(), Some(0));
}

#[test]
fn what_is_wrong_with_the_command_is_said_and_a_password_on_it_is_refused_unread() {
    let place = Place::new();
    let there = "postgres://remint:hunter2@127.0.0.1:1/remint";
    for (arguments, says) in [
        (&["migrate"][..], "--from"),
        (&["migrate", "--from", "sqlite:data/remint.db"], "`database` is not set"),
        (&["migrate", "--from", "data/remint.db", "--to", "sqlite:x"], "write sqlite:PATH"),
        (&["migrate", "--from", "sqlite:x", "--to", "sqlite:x"], "name another place"),
        (&["migrate", "--from", "sqlite:x", "--to", there], "REMINT_DATABASE_FILE"),
        (&["restore"], "<FILE>"),
        (&["restore", "copy", "--in-place"], "cannot be used with"),
        (&["restore", "--in-place"], "`database` is not set"),
    ] {
        let (code, message) = place.refused(arguments);
        assert!(code == 2 && message.contains(says) && !message.contains("hunter2"), "{arguments:?}: {message}");
    }
    let (code, message) = place.refused(&["migrate", "--from", "sqlite:nowhere/x", "--to", "sqlite:y"]);
    assert!(code == 3 && message.contains("no installation"), "{message}");
}
