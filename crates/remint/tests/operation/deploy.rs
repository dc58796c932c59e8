//! `deploy/`: what can be tried without systemd as the first process and without a container engine.

use std::path::Path;
use std::process::Command;

use crate::place::{KEY, Place, ask};

const UNIT: &str = include_str!("../../../../deploy/systemd/remint.service");
const CONTAINER: &str = include_str!("../../../../deploy/container/Containerfile");

/// What a directive of the unit says; of one that stands more than once, each.
fn directives<'a>(name: &str) -> Vec<&'a str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

/// The unit with this binary, beside nothing else: `None` where the tool is not installed.
fn analyzed(place: &Place, arguments: &[&str]) -> Option<(bool, String)> {
    let unit = place.path("remint.service");
    std::fs::write(&unit, UNIT.replace("/usr/bin/remint", env!("CARGO_BIN_EXE_remint"))).unwrap();
    let output = Command::new("systemd-analyze").args(arguments).arg(&unit).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn every_directive_of_the_unit_is_known() {
    let place = Place::new();
    let Some((good, said)) = analyzed(&place, &["verify", "--man=no", "--recursive-errors=no"]) else { return };
    assert!(good && !said.contains("remint.service"), "{said}");
}

#[test]
fn the_unit_leaves_little_open() {
    let place = Place::new();
    let Some((good, said)) = analyzed(&place, &["security", "--offline=yes", "--threshold=20"]) else { return };
    assert!(good, "{said}");
    for (name, value) in [("DynamicUser", "yes"), ("ProtectSystem", "strict"), ("NoNewPrivileges", "yes")] {
        assert_eq!(directives(name), [value]);
    }
}

#[test]
fn the_command_of_the_unit_starts_the_server_with_the_credential_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path("credentials")).unwrap();
    let [credential] = directives("LoadCredential")[..] else { panic!("one credential") };
    let (name, from) = credential.split_once(':').unwrap();
    assert!(!from.starts_with("/var/lib/remint"), "a backup would hold lock and key");
    place.private(&format!("credentials/{name}"), KEY);
    place.mode(&format!("credentials/{name}"), 0o440);
    let file = std::fs::read_to_string(place.path("remint.toml")).unwrap();
    let own =
        |line: &&str| !line.starts_with("data") && !line.starts_with("master_key") && !line.starts_with("log_format");
    std::fs::write(place.path("remint.toml"), file.lines().filter(own).collect::<Vec<_>>().join("\n")).unwrap();

    let credentials = place.path("credentials").display().to_string();
    let mut environment = vec![("CREDENTIALS_DIRECTORY", credentials.as_str())];
    environment.extend(directives("Environment").into_iter().map(|pair| pair.split_once('=').unwrap()));
    let state = format!("/var/lib/{}", directives("StateDirectory")[0]);
    let data = place.path("data").display().to_string();
    let command = directives("ExecStart")[0].replace("/etc/remint/remint.toml", "remint.toml").replace(&state, &data);
    let mut words = command.split(' ');
    assert_eq!((words.next(), words.next()), (Some("/usr/bin/remint"), Some("serve")));
    let server = place.serve_with(&words.collect::<Vec<_>>(), &environment);
    assert_eq!(ask(&server.operations, "GET", "/readyz", "", "").0, 200);
    assert!(Path::new(&data).join("remint.db").exists());
    server.signal("-HUP");
    server.line("was reloaded");
    assert_eq!(server.stopped(), Some(0));
}

/// The instructions of the last stage: each word and what follows.
fn instructions() -> Vec<(&'static str, &'static str)> {
    let lines = CONTAINER.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let all: Vec<_> = lines.map(|line| line.split_once(' ').unwrap()).collect();
    const KNOWN: [&str; 12] = [
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "ENV",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    ];
    for (instruction, _) in &all {
        assert!(KNOWN.contains(instruction), "{instruction}");
    }
    let last = all.iter().rposition(|(instruction, _)| *instruction == "FROM").unwrap();
    all[last..].to_vec()
}

fn said(name: &str) -> Vec<&'static str> {
    instructions().into_iter().filter(|(instruction, _)| *instruction == name).map(|(_, rest)| rest).collect()
}

#[test]
fn the_image_holds_the_binary_alone_and_runs_it_without_rights() {
    assert_eq!(said("FROM"), ["scratch"]);
    let [user] = said("USER")[..] else { panic!("one user") };
    let (uid, gid) = user.split_once(':').unwrap();
    assert!(uid.parse::<u32>().unwrap() > 0 && gid.parse::<u32>().unwrap() > 0, "by number: there is no /etc/passwd");
    assert!(said("COPY")[0].contains(&format!("--chown={user}")), "the data directory is its own");
    assert!(said("RUN").is_empty(), "there is no shell in it");
}

#[test]
fn entry_point_environment_and_health_check_of_the_image_work_with_the_binary() {
    let place = Place::new();
    std::fs::remove_file(place.path("remint.toml")).unwrap();
    let words = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap();
    assert_eq!(words(said("ENTRYPOINT")[0]), ["/remint"]);
    assert_eq!(words(said("CMD")[0]), ["serve"]);
    let data = place.path("data").display().to_string();
    let mut environment: Vec<(&str, &str)> =
        said("ENV").into_iter().map(|pair| pair.split_once('=').unwrap()).collect();
    for (name, value) in &mut environment {
        match *name {
            "REMINT_DATA" => *value = &data,
            "REMINT_LISTEN" | "REMINT_OPERATIONS_LISTEN" => {
                assert!(value.starts_with("0.0.0.0:"), "in a container the loopback is nobody's");
                *value = "127.0.0.1:0";
            }
            _ => {}
        }
    }
    environment.extend([("REMINT_PUBLIC_URL", "https://id.example"), ("REMINT_MASTER_KEY_FILE", "key")]);
    let server = place.serve_with(&[], &environment);
    let (_, health) = said("HEALTHCHECK")[0].split_once("CMD ").unwrap();
    let health = words(health);
    assert_eq!(health[0], "/remint");
    let arguments: Vec<&str> = health[1..].iter().map(String::as_str).collect();
    environment.retain(|(name, _)| *name != "REMINT_OPERATIONS_LISTEN");
    environment.push(("REMINT_OPERATIONS_LISTEN", &server.operations));
    let asked = place.remint_with(&arguments, &environment);
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
}
