//! Scenes with the command line as a program: one file sets an installation up, policies are played through, what the
//! shell and the manual know, and how a command ends.
#![expect(clippy::unwrap_used, reason = "a scene that cannot be set up has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// An installation without a running server: each command opens the data itself.
struct Place(TempDir);

const KEY: &str = "3f9a1c77e05b42d86610fe9b8827ac5513d0e4b96f21783a4cc59d02b7e6f845";

/// A whole installation.
const INSTALLATION: &str = "\
[users.\"ada@example.test\"]
identifiers = [\"ada\"]
password_file = \"ada.password\"
attributes = { nickname = \"Ada\", role = \"engineer\" }

[users.charles]
password_env = \"CHARLES_PASSWORD\"
disabled = true

[clients.web]
name = \"Web\"
policy = { kind = \"refresh\", life = \"10m\" }
apis = [\"orders\", \"https://stock.example\"]
scopes = [\"orders:read\", \"orders:write\"]
origins = [\"https://app.example\"]
mapping = { nickname = \"nickname\", role = \"role\", phone_number = \"phone_number\" }
first_party = true

[clients.robot]
policy = \"fixed\"
apis = [\"https://stock.example\"]
confidential = true
client_credentials = true

[apis.orders]
scopes = [\"orders:read\", \"orders:write\"]
max_life = \"7d\"

[apis.stock]
audience = \"https://stock.example\"

[attributes.nickname]
type = \"string\"
writable_by = \"user\"

[attributes.role]
type = \"string\"
max_bytes = 64
";

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A configuration, a master key, and a data directory that the first command fills.
    fn configured() -> Self {
        let place = Self::new();
        place.write("key", KEY);
        fs::set_permissions(place.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(place.path("data")).unwrap();
        fs::set_permissions(place.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
        place.write("remint.toml", "public_url = 'https://id.example'\ndata = 'data'\nmaster_key_file = 'key'\n");
        place
    }

    fn installed() -> Self {
        let place = Self::configured();
        place.write("installation.toml", INSTALLATION);
        place.write("ada.password", "analytical engine\n");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_remint"));
        command.current_dir(self.0.path()).env_clear().args(arguments);
        command.env("CHARLES_PASSWORD", "difference engine");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn remint(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command that succeeds prints.
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.remint(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[&["--json"], arguments].concat())).unwrap()
    }

    /// The exit code and the message of a command that fails.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.remint(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn one_file_sets_a_whole_installation_up_and_once_more_there_is_nothing_to_change() {
    let place = Place::installed();
    let told = place.text(&["apply", "installation.toml", "--secrets", "secrets.toml"]);
    assert!(told.ends_with("8 made, 1 changed.\n"), "{told}");
    let order: Vec<_> = ["+ attribute role", "+ api orders", "+ client web", "+ user ada@example.test"]
        .map(|line| told.find(line).unwrap())
        .into_iter()
        .collect();
    assert!(order.is_sorted(), "{told}");

    let web = place.json(&["client", "show", "web"]);
    assert_eq!(web["policy"]["life"], json!(600));
    let shown = json!({"nickname": "nickname", "role": "role", "phone_number": "phone_number"});
    assert_eq!(web["mapping"], shown);
    assert_eq!(web["apis"], json!(["orders", "https://stock.example"]));
    let ada = place.json(&["user", "show", "ada"]);
    assert_eq!(ada["attributes"], json!({"nickname": "Ada", "role": "engineer"}));
    assert_eq!(place.json(&["user", "show", "charles"])["status"], json!("disabled"));

    let secrets: toml::Table = place.read("secrets.toml").parse().unwrap();
    assert_eq!(secrets.keys().collect::<Vec<_>>(), ["orders", "robot", "stock"]);
    assert_eq!(fs::metadata(place.path("secrets.toml")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!told.contains(secrets["robot"].as_str().unwrap()), "what is in the file is not printed");

    fs::remove_file(place.path("ada.password")).unwrap();
    assert_eq!(place.text(&["apply", "installation.toml", "--secrets", "secrets.toml"]), "Nothing to change.\n");
    assert_eq!(place.json(&["apply", "installation.toml"]), json!({"changes": [], "dry_run": false}));
    assert_eq!(place.read("secrets.toml").parse::<toml::Table>().unwrap(), secrets);
}

#[test]
fn a_changed_file_changes_what_differs_and_a_dry_run_says_so_and_changes_nothing() {
    let place = Place::installed();
    place.text(&["apply", "installation.toml"]);
    let changed = place
        .read("installation.toml")
        .replace("life = \"10m\"", "life = \"15m\"")
        .replace("first_party = true\n", "")
        .replace("role = \"engineer\"", "role = \"admiral\"")
        .replace("nickname = \"Ada\"", "nickname = \"Countess\"")
        .replace("max_life = \"7d\"", "max_life = \"1d\"")
        .replace("disabled = true", "disabled = false");
    place.write("installation.toml", &changed);
    let rehearsed = place.text(&["apply", "installation.toml", "--dry-run"]);
    for line in [
        "~ api orders\n    max_life: 604800 -> 86400\n",
        "    first_party: true -> false\n",
        "\"life\":600",
        "\"life\":900",
        "~ user ada@example.test\n    role: \"engineer\" -> \"admiral\"\n",
        "    disabled: true -> false\n",
        "0 to make, 4 to change. Nothing was done (--dry-run).",
    ] {
        assert!(rehearsed.contains(line), "{line}: {rehearsed}");
    }
    assert_eq!(place.json(&["client", "show", "web"])["first_party"], json!(true));
    let told = place.text(&["apply", "installation.toml"]);
    assert!(told.ends_with("0 made, 4 changed.\n"), "{told}");
    assert_eq!(place.json(&["client", "show", "web"])["first_party"], json!(false));
    let ada = place.json(&["user", "show", "ada"]);
    assert_eq!(ada["attributes"], json!({"nickname": "Ada", "role": "admiral"}), "what users write stays theirs");
    assert_eq!(place.text(&["apply", "installation.toml"]), "Nothing to change.\n");
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_every_error_names_its_line() {
    let place = Place::configured();
    for (text, words) in [
        (
            "[clients.web]\npolicy = 'refresh'\norgins = []\n",
            &["wrong.toml:3: clients.web: `orgins`", "`origins`?"][..],
        ),
        ("[attributes.role]\ntype = 'text'\n", &["wrong.toml:2: attributes.role.type:", "text"]),
        ("[clients.web]\npolicy = 'refresh'\napis = ['nope']\n", &["wrong.toml:1: clients.web:", "no api `nope`"]),
        (
            "[apis.a]\n[clients.web]\npolicy = { kind = 'refresh', life = '30s' }\napis = ['a']\n",
            &["wrong.toml:2: clients.web:", "raise `life`"],
        ),
        (
            "[apis.a]\n[clients.web]\npolicy = 'fixed'\napis = ['a']\nmapping = { x = 'rank' }\n",
            &["wrong.toml:5: clients.web.mapping:", "`rank`, which is not declared"],
        ),
        (
            "[attributes.phone_number]\ntype = 'string'\n",
            &["wrong.toml:1: attributes.phone_number:", "verifying a phone number"],
        ),
        (
            "[users.ada]\nidentifiers = ['Bob']\n[users.bob]\n",
            &["wrong.toml:3: users.bob: `bob` is a name of another user too, line 1: users.ada"],
        ),
        ("[users.ada]\nexternal_id = 'a b'\n", &["wrong.toml:2: users.ada.external_id:", "no blanks"]),
        ("[users.ada]\npassword_file = 'none'\n", &["wrong.toml:2: users.ada.password_file:", "cannot be read"]),
        ("[users.ada]\npassword_env = 'NOBODY'\n", &["wrong.toml:2: users.ada.password_env:", "not set"]),
        ("[users.ada]\nattributes = { rank = 1 }\n", &["wrong.toml:2: users.ada.attributes:", "not declared"]),
        ("[users.ada]\npassword_file = 'short'\n", &["users.ada.password_file:", "at least 8 characters"]),
        ("[senders.sms]\n", &["wrong.toml:1: senders.sms.webhook_url:", "an https URL"]),
        ("[senders.smoke]\n", &["wrong.toml:1: senders.smoke", "there is `sms`"]),
        ("[senders.sms]\nwebhook_url = 'https://a.test'\n", &["wrong.toml:1: senders.sms: needs `secret_file`"]),
        (
            "[senders.sms]\nwebhook_url = 'https://a.test'\nsecret_file = 'short'\n",
            &["wrong.toml:3: senders.sms.secret_file:", "fewer than 32 bytes"],
        ),
        ("[senders.sms]\nwebhook_url = 'https://a.test'\nper_day = 0\n", &["wrong.toml:3: senders.sms.per_day:"]),
    ] {
        place.write("short", "seven77\n");
        place.write("wrong.toml", &format!("{text}[attributes.innocent]\ntype = 'string'\n"));
        let (code, message) = place.refused(&["apply", "wrong.toml"]);
        assert_eq!(code, 2, "{text}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{words:?}: {message}");
        assert_eq!(place.json(&["user", "attributes"])["attributes"], json!([]), "{text}");
    }
    assert_eq!(place.refused(&["apply", "nothing.toml"]).0, 2);
}

#[test]
fn what_the_server_would_refuse_half_way_is_refused_before_and_in_a_rehearsal_too() {
    let place = Place::configured();
    place.text(&["user", "create", "bob", "--external-id", "4711", "--no-password"]);
    for (text, words) in [
        ("[users.ada]\nidentifiers = ['Bob']\n", "users.ada: `Bob` is a name of another user"),
        ("[users.ada]\nexternal_id = '4711'\n", "users.ada: `external:4711` is a name of another user"),
        ("[users.bob]\nexternal_id = '4712'\n", "users.bob.external_id: is not this user's"),
    ] {
        place.write("one.toml", &format!("[attributes.nick]\ntype = 'string'\n{text}"));
        for arguments in [&["apply", "one.toml", "--dry-run"][..], &["apply", "one.toml"]] {
            let (code, message) = place.refused(arguments);
            assert!(code == 2 && message.contains(words), "{text}: {message}");
        }
        assert_eq!(place.json(&["attribute", "list"])["attributes"], json!([]), "{text}");
    }
    place.write("one.toml", "[users.bob]\nexternal_id = '4711'\n[users.eve]\nexternal_id = '4712'\n");
    place.text(&["apply", "one.toml"]);
    assert_eq!(place.json(&["user", "show", "external:4712"])["identifiers"], json!(["eve"]));
    assert_eq!(place.text(&["apply", "one.toml"]), "Nothing to change.\n");
}

#[test]
fn what_a_client_of_the_file_was_given_in_vain_is_told_by_apply_and_by_doctor() {
    let place = Place::configured();
    place.write(
        "one.toml",
        "[apis.orders]\nscopes = ['read']\n[clients.web]\npolicy = 'fixed'\napis = ['orders']\nscopes = ['read', 'pay']\n\
         confidential = true\nclient_credentials = true\n\
         administration = { scopes = 'remint:sessions:open', opens_sessions_at = ['web', 'shpo'] }\n",
    );
    let scope = "has the scope `pay`, which none of its apis knows";
    let at = "may open sessions at `shpo`, and there is no such client";
    for told in [place.text(&["apply", "one.toml", "--dry-run"]), place.text(&["apply", "one.toml"])] {
        assert!(told.contains(&format!("clients.web: {scope}")) && told.contains(at), "{told}");
        assert!(!told.contains("`read`, which") && !told.contains("at `web`"), "{told}");
    }
    let checks = place.remint(&["doctor", "--json"]).stdout;
    let checks = String::from_utf8(checks).unwrap();
    assert!(checks.contains(&format!("`web` {scope}")) && checks.contains(&format!("`web` {at}")), "{checks}");
}

#[test]
fn why_something_is_done_is_said_by_every_command_that_changes_something_and_by_no_other() {
    let place = Place::configured();
    place.write("one.toml", "[attributes.nick]\ntype = 'string'\n");
    place.text(&["user", "create", "ada", "--no-password", "--reason", "asked by telephone & mail"]);
    place.text(&["--reason", "ticket 7", "apply", "one.toml"]);
    let entries = place.json(&["audit", "list"])["entries"].take();
    let reason =
        |act: &str| entries.as_array().unwrap().iter().find(|entry| entry["act"] == act).unwrap()["reason"].clone();
    assert_eq!(reason("user.created"), json!("asked by telephone & mail"));
    assert_eq!(reason("attribute.declared"), json!("ticket 7"));
    let migrate = ["migrate", "--from", "sqlite:a.db", "--to", "sqlite:b.db"];
    for untold in [&["user", "list"][..], &["doctor"], &["version"], &["config", "show"], &migrate] {
        let (code, message) = place.refused(&[untold, &["--reason", "x"]].concat());
        assert!(
            code == 2 && message.contains("nothing of this command goes into the audit log"),
            "{untold:?}: {message}"
        );
    }
    assert_eq!(place.refused(&["user", "disable", "ada", "--reason", &"x".repeat(257)]).0, 2);
}

#[test]
fn whatever_the_endpoints_can_do_a_command_does() {
    let place = Place::configured();
    place.text(&["api", "create", "orders", "--scope", "read"]);
    let api = place.json(&["api", "update", "orders", "--scope", "read", "--scope", "pay", "--max-life", "30d"]);
    assert_eq!((&api["scopes"], &api["max_life"]), (&json!("pay read"), &json!(2_592_000)));
    assert_eq!(place.refused(&["api", "update", "orders"]).0, 2, "nothing to change");
    place.text(&["attribute", "declare", "nick", "--max-bytes", "9"]);
    assert_eq!(place.json(&["attribute", "show", "nick"])["max_bytes"], json!(9));
    for id in ["one", "two"] {
        place.text(&["client", "create", id, "--policy", "fixed", "--api", "orders"]);
    }
    let page = place.json(&["client", "list", "--limit", "1"]);
    let next = place.json(&["client", "list", "--after", page["next"].as_str().unwrap()]);
    assert_eq!((&page["clients"][0]["id"], &next["clients"][0]["id"]), (&json!("one"), &json!("two")));
    place.text(&["user", "create", "ada", "--no-password"]);
    place.text(&["user", "disable", "ada"]);
    assert_eq!(place.json(&["user", "list", "--status", "disabled"])["users"][0]["identifiers"], json!(["ada"]));
    assert_eq!(place.json(&["user", "list", "--status", "active"])["users"], json!([]));
    for list in [&["session", "list"][..], &["session", "list", "--client", "one"], &["session", "list", "ada"]] {
        assert_eq!(place.json(list)["sessions"], json!([]), "{list:?}");
    }
    let (whole, page) = (["session", "list", "ada"], ["session", "list", "ada", "--limit", "5"]);
    assert!(place.json(&whole).get("next").is_none(), "all of hers");
    assert_eq!(place.json(&page).get("next"), Some(&Value::Null), "a page, as the limit says");
    assert_eq!(place.refused(&["session", "show", "-WpPHVBVhDf421amoJKWag"]).0, 3);
}

const SECRET: &str = "a secret that both sides have been told";
const SENDER: &str = "\
[senders.sms]
webhook_url = \"https://sms.example/hooks/t0ken\"
secret_file = \"sms.secret\"
per_day = 500
";

#[test]
fn a_sender_of_the_file_is_declared_compared_and_never_shown() {
    let place = Place::configured();
    place.write("sender.toml", SENDER);
    place.write("sms.secret", &format!("{SECRET}\n"));
    let made = place.text(&["apply", "sender.toml"]);
    assert!(made.contains("+ sender sms\n") && made.contains("per_day = 500") && made.contains("1 made"), "{made}");
    assert_eq!(place.text(&["apply", "sender.toml"]), "Nothing to change.\n");
    let listed = place.json(&["sender", "list"]);
    let sms = &listed["senders"][0];
    assert_eq!((&sms["webhook"], &sms["in_use"]), (&json!("https://sms.example"), &json!(true)));
    assert_eq!((&sms["per_day"], &sms["per_number"]), (&json!(500), &json!(5)));

    place.write("sms.secret", &format!("{SECRET}, and changed"));
    place.write("sender.toml", &SENDER.replace("per_day = 500\n", "countries = [\"44\"]\n"));
    let rehearsed = place.text(&["apply", "sender.toml", "--dry-run"]);
    for line in [
        "~ sender sms\n",
        "    per_day: 500 -> 10000\n",
        "    countries: [] -> [\"44\"]\n",
        "    secret: \"(not shown)\" -> \"(another, not shown)\"\n",
        "0 to make, 1 to change. Nothing was done (--dry-run).",
    ] {
        assert!(rehearsed.contains(line), "{line}: {rehearsed}");
    }
    let told = place.text(&["apply", "sender.toml"]);
    assert_eq!(place.text(&["apply", "sender.toml"]), "Nothing to change.\n");
    for text in [made, rehearsed, told, listed.to_string(), place.text(&["sender", "list"])] {
        assert!(!text.contains(SECRET) && !text.contains("t0ken"), "{text}");
    }
    place.write(
        "remint.toml",
        &(place.read("remint.toml") + "sms_webhook_url = 'https://other.example/'\nsms_per_day = 7\n"),
    );
    let with_configured = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        let output = command.env("REMINT_SMS_WEBHOOK_SECRET", SECRET).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let applied = with_configured(&["apply", "sender.toml"]);
    assert!(
        applied.contains("the configuration of the server sets webhook_url, secret, per_day, and wins"),
        "{applied}"
    );
    let listed = with_configured(&["sender", "list"]);
    let [_, first, second] = listed.lines().collect::<Vec<_>>()[..] else { panic!("{listed}") };
    assert!(first.contains("configuration") && first.contains("true") && first.contains("other.example"), "{listed}");
    assert!(second.contains("declared") && second.contains("false") && second.contains("webhook_url"), "{listed}");
    let doctor = with_configured(&["doctor"]);
    assert!(doctor.contains("wins over the declared sender `sms`"), "{doctor}");
}

#[test]
fn a_sender_is_declared_and_removed_by_hand() {
    let place = Place::configured();
    let url = ["--webhook-url", "https://sms.example/send"];
    let (code, message) = place.refused(&[&["sender", "set", "sms"], &url[..]].concat());
    assert!(code == 2 && message.contains("openssl rand -hex 32"), "{message}");
    place.write("secret", SECRET);
    let set = [&["sender", "set", "sms"], &url[..], &["--secret-file", "secret", "--per-day", "9", "--country", "44"]];
    let made = place.json(&set.concat());
    assert_eq!((&made["per_day"], &made["countries"]), (&json!(9), &json!(["44"])));
    let again = place.json(&[&["sender", "set", "sms"], &url[..]].concat());
    assert_eq!((&again["per_day"], &again["in_use"]), (&json!(10_000), &json!(true)), "the secret stays");
    assert_eq!(place.refused(&["sender", "remove", "sms"]).0, 2, "it must be meant");
    place.text(&["sender", "remove", "sms", "--yes"]);
    assert_eq!(place.refused(&["sender", "remove", "sms", "--yes"]).0, 3);
    assert_eq!(place.text(&["sender", "list"]), "no senders\n");
    assert_eq!(place.refused(&[&["sender", "set", "smoke"], &url[..]].concat()).0, 2);
}

#[test]
fn what_a_client_may_administer_is_set_by_flags() {
    let place = Place::configured();
    place.text(&["api", "create", "orders"]);
    let base = ["--policy", "fixed", "--api", "orders", "--confidential", "--client-credentials"];
    let scopes = ["--administration", "remint:users:read", "--administration", "remint:sessions:open"];
    let made =
        place.json(&[&["client", "create", "ops"], &base[..], &scopes, &["--opens-sessions-at", "web"]].concat());
    let given = json!({"scopes": "remint:sessions:open remint:users:read", "opens_sessions_at": ["web"]});
    assert_eq!(made["administration"], given);
    let narrower = place.json(&["client", "update", "ops", "--administration", "remint:sessions:open"]);
    let given = json!({"scopes": "remint:sessions:open", "opens_sessions_at": ["web"]});
    assert_eq!(narrower["administration"], given, "the list that was not given stays");
    let named = place.json(&["client", "update", "ops", "--name", "Operations"]);
    assert_eq!(named["administration"], given);
    let none = place.json(&["client", "update", "ops", "--no-administration"]);
    assert_eq!(none["administration"], Value::Null);
    assert_eq!(place.refused(&["client", "update", "ops", "--administration", "remint:everything"]).0, 2);
    let both = ["client", "update", "ops", "--no-administration", "--administration", "remint:keys"];
    assert_eq!(place.refused(&both).0, 2);
}

#[test]
fn a_client_that_was_stopped_stays_so_unless_the_file_says_otherwise() {
    let place = Place::configured();
    let file = "[apis.orders]\n[clients.web]\npolicy = 'fixed'\napis = ['orders']\n";
    place.write("one.toml", file);
    place.text(&["apply", "one.toml"]);
    place.text(&["client", "disable", "web"]);
    assert_eq!(place.text(&["apply", "one.toml"]), "Nothing to change.\n");
    place.write("one.toml", &format!("{file}disabled = false\n"));
    assert!(place.text(&["apply", "one.toml"]).contains("disabled: true -> false"));
    assert_eq!(place.json(&["client", "show", "web"])["disabled"], json!(false));
}

#[test]
fn secrets_without_a_file_are_printed_once() {
    let place = Place::configured();
    place.write("one.toml", "[apis.orders]\n");
    let made = place.json(&["apply", "one.toml"]);
    let secret = made["secrets"]["orders"].as_str().unwrap();
    assert_eq!((made["changes"][0]["action"].as_str(), secret.len()), (Some("make"), 43));
    assert_eq!(place.json(&["apply", "one.toml"])["secrets"], Value::Null);
    let audience = "[apis.orders]\naudience = 'other'\n";
    place.write("one.toml", audience);
    let (code, message) = place.refused(&["apply", "one.toml"]);
    assert!(code == 2 && message.contains("one.toml:2: apis.orders.audience: cannot be changed"), "{message}");
}

#[test]
fn the_life_of_a_session_is_printed_drawn_and_told_to_programs() {
    let place = Place::new();
    let rolling = ["policy", "simulate", "--policy", "rolling", "--active", "2h", "--pause", "30m", "--until", "24h"];
    let text = place.text(&[&rolling[..], &["--svg", "life.svg"]].concat());
    for word in ["logged in", "renewed", "ended: its newest token ran out", "at work", "━", "╳", "log in again"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let svg = place.read("life.svg");
    assert!(svg.starts_with("<svg ") && svg.contains("<title id=\"title\">") && svg.contains("<desc id=\"desc\">"));
    let json = place.json(&rolling);
    assert_eq!((&json["end"]["limit"], &json["absolute"]), (&json!("idle"), &json!(43_200.0)));
    let cookie = place.json(&["policy", "simulate", "--policy", "cookie", "--idle", "1h", "--absolute", "4h"]);
    assert_eq!(cookie["end"]["limit"], json!("absolute"));
    for (arguments, word) in [
        (&["policy", "simulate"][..], "--policy"),
        (&["policy", "simulate", "--policy", "refresh", "--life", "40s"], "raise `life`"),
        (&["policy", "simulate", "--policy", "fixed", "--idle", "1h"], "idle"),
        (&["policy", "simulate", "--policy", "fixed", "--every", "1s", "--until", "90d"], "raise `every`"),
    ] {
        let (code, message) = place.refused(arguments);
        assert!(code == 2 && message.contains(word), "{arguments:?}: {message}");
    }
}

#[test]
fn the_policy_of_a_client_is_played_through_with_changes_over_it() {
    let place = Place::installed();
    place.text(&["apply", "installation.toml"]);
    let web = place.json(&["policy", "simulate", "--client", "web"]);
    assert_eq!((&web["policy"]["kind"], &web["policy"]["life"]), (&json!("refresh"), &json!(600)));
    let shorter = place.json(&["policy", "simulate", "--client", "web", "--life", "5m"]);
    assert_eq!((&shorter["policy"]["kind"], &shorter["policy"]["life"]), (&json!("refresh"), &json!(300)));
    assert_eq!(place.refused(&["policy", "simulate", "--client", "nobody"]).0, 3);
}

#[test]
fn completion_scripts_can_be_read_by_their_shell_and_pages_by_man() {
    let place = Place::new();
    place.write("remint.bash", &place.text(&["completion", "bash"]));
    let checked = Command::new("bash").arg("-n").arg(place.path("remint.bash")).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for shell in ["zsh", "fish"] {
        assert!(place.text(&["completion", shell]).contains("set-password"), "{shell}");
    }
    assert_eq!(place.refused(&["completion", "tcsh"]).0, 2);
    place.text(&["man", "manual"]);
    for page in ["remint.1", "remint-user-create.1", "remint-policy-simulate.1", "remint-apply.1"] {
        assert!(place.read(&format!("manual/{page}")).contains(".TH"), "{page}");
    }
}

#[test]
fn a_command_ends_with_the_code_that_its_help_promises() {
    let place = Place::configured();
    let help = place.text(&["--help"]);
    assert!(
        help.contains("0 done, 1 failed, 2 wrong command or configuration, 3 not found or nobody to ask"),
        "{help}"
    );
    assert_eq!(place.remint(&["version"]).status.code(), Some(0));
    let elsewhere = place.command(&["version"]).env("REMINT_URL", "https://id.example").output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(0), "what asks nobody needs no credential");
    let doctor = place.command(&["doctor", "--json"]).env("REMINT_URL", "https://id.example").output().unwrap();
    let looked_at = String::from_utf8(doctor.stdout).unwrap();
    assert!(looked_at.contains("data directory\""), "without --url it looks at this machine: {looked_at}");
    place.text(&["api", "create", "orders"]);
    assert_eq!(place.refused(&["api", "create", "orders"]).0, 1);
    assert_eq!(place.refused(&["user", "lst"]).0, 2);
    assert_eq!(place.refused(&["user", "show", "nobody"]).0, 3);
    assert_eq!(place.refused(&["user", "list", "--data", "nothing"]).0, 3);
    let url = ["user", "list", "--url", "http://localhost:1", "--client-id", "ops", "--client-secret-file", "key"];
    assert_eq!(place.refused(&url).0, 3, "nobody answers there");
}

#[test]
fn with_json_every_error_is_json() {
    let place = Place::new();
    for arguments in [
        &["--json", "user", "lst"][..],
        &["user", "create", "--json"],
        &["--json", "user", "list"],
        &["--json", "user", "list", "--limit", "0"],
    ] {
        let (code, message) = place.refused(arguments);
        let error: Value = serde_json::from_str(&message).unwrap_or_else(|_| panic!("{arguments:?}: {message}"));
        assert!(code == 2 && error["error"].as_str().is_some_and(|text| !text.is_empty()), "{message}");
    }
    assert!(place.remint(&["--json", "--help"]).status.success());
}

#[test]
fn what_would_be_done_by_halves_or_in_silence_is_refused() {
    let place = Place::configured();
    place.write("short", "seven77\n");
    for (arguments, word) in [
        (&["user", "declare", "nick", "--max-bytes", "0"][..], "max-bytes"),
        (&["user", "create", "ada", "--no-password", "--attribute", "a=1", "--attribute", "a=2"], "`a` is given twice"),
        (&["user", "list", "--limit", "0"], "--limit"),
        (&["user", "create", "ada", "--password-file", "short"], "at least 8 characters"),
    ] {
        let (code, message) = place.refused(arguments);
        assert!(code == 2 && message.contains(word), "{arguments:?}: {code} {message}");
    }
    place.text(&["user", "create", "ada", "--no-password"]);
    let (code, message) = place.refused(&["user", "set-password", "ada", "--password-file", "short"]);
    assert!(code == 2 && message.contains("at least 8 characters"), "{message}");
}

#[test]
fn data_that_was_lost_is_said_and_not_begun_anew() {
    let place = Place::configured();
    place.text(&["api", "create", "orders"]);
    fs::write(place.path("data/remint.db"), "").unwrap();
    let _ = fs::remove_file(place.path("data/remint.db-wal"));
    let (code, message) = place.refused(&["api", "list"]);
    assert!(code == 1 && message.contains("backup") && message.contains("remint.db"), "{message}");
    fs::remove_file(place.path("data/remint.db")).unwrap();
    assert_eq!(place.refused(&["serve"]).0, 1);
    assert!(!place.path("data/remint.db").exists(), "nothing was begun");
    fs::remove_file(place.path("data/begun")).unwrap();
    assert_eq!(place.json(&["api", "list"])["apis"], json!([]), "whoever means it can begin anew");
}

#[test]
fn where_there_is_data_the_advice_is_to_find_the_master_key_and_not_to_make_one() {
    let place = Place::configured();
    let without = "public_url = 'https://id.example'\ndata = 'data'\n";
    place.write("bare.toml", without);
    let (code, message) = place.refused(&["serve", "--config", "bare.toml"]);
    assert!(code == 2 && message.contains("openssl rand"), "{message}");
    place.text(&["api", "create", "orders"]);
    let (code, message) = place.refused(&["serve", "--config", "bare.toml"]);
    assert!(code == 2 && !message.contains("openssl rand") && message.contains("made with"), "{message}");
}
