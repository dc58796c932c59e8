//! `remint doctor`: each scene plants one mistake in an installation that has none, and doctor finds it by its name and
//! says how to mend it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::place::{Place, Running, ask};

/// What must live while doctor looks.
type Kept = Option<Box<dyn std::any::Any>>;

/// One mistake.
struct Scene {
    plant: fn(&Place) -> Kept,
    /// The check that finds it.
    check: &'static str,
    grade: &'static str,
    /// A word of what was found, and one of what to do.
    words: [&'static str; 2],
}

fn sql(place: &Place, statement: &str) {
    let file = rusqlite::Connection::open(place.path("data/remint.db")).unwrap();
    assert_eq!(file.execute(statement, []).unwrap(), 1, "{statement}");
}

fn kept(value: impl std::any::Any) -> Kept {
    Some(Box::new(value))
}

/// Somebody who answers every request with the metadata of this issuer; nobody's where there is none.
fn answering(issuer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let own = url.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let body = json!({ "issuer": issuer.unwrap_or(&own) }).to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    url
}

fn public_url(place: &Place, url: &str) {
    place.configured(&format!("public_url = '{url}'\n"));
}

/// Every mistake that is planted.
const SCENES: [Scene; 15] = [
    Scene {
        plant: |place| {
            place.mode("key", 0o644);
            None
        },
        check: "configuration",
        grade: "error",
        words: ["can be read by others", "chmod 600"],
    },
    Scene {
        plant: |place| {
            std::fs::rename(place.path("key"), place.path("data/key")).unwrap();
            let file = std::fs::read_to_string(place.path("remint.toml")).unwrap();
            std::fs::write(place.path("remint.toml"), file.replace("'key'", "'data/key'")).unwrap();
            None
        },
        check: "configuration",
        grade: "error",
        words: ["inside the data directory", "move it elsewhere"],
    },
    Scene {
        plant: |place| {
            place.mode("data", 0o777);
            None
        },
        check: "data directory",
        grade: "error",
        words: ["others can put files there", "chmod 700"],
    },
    Scene {
        plant: |place| {
            public_url(place, "http://127.0.0.1:1");
            None
        },
        check: "public URL",
        grade: "warning",
        words: ["http works on this machine only", "proxy with TLS"],
    },
    Scene {
        plant: |place| {
            public_url(place, "http://127.0.0.1:1");
            None
        },
        check: "reachable",
        grade: "warning",
        words: ["does not answer", "DNS"],
    },
    Scene {
        plant: |place| {
            public_url(place, &answering(Some("https://somebody.else")));
            None
        },
        check: "reachable",
        grade: "error",
        words: ["another issuer, https://somebody.else", "correct `public_url`"],
    },
    Scene {
        plant: |place| {
            sql(
                place,
                "UPDATE sessions SET last_seen = last_seen + 864000000000 WHERE slot = (SELECT MIN(slot) FROM sessions)",
            );
            None
        },
        check: "clock",
        grade: "error",
        words: ["behind what is stored", "NTP"],
    },
    Scene {
        plant: |place| {
            place.configured("trusted_proxies = ['10.0.0.0/8', '0.0.0.0/0']\n");
            None
        },
        check: "trusted proxies",
        grade: "error",
        words: ["nearly everybody", "addresses of your proxies"],
    },
    Scene {
        plant: |place| {
            let server: Running = place.serve();
            let body = json!({"client_id": "web", "identifier": "x", "password": "y"}).to_string();
            let headers = "Content-Type: application/json\r\nX-Forwarded-For: 198.51.100.7\r\n";
            ask(&server.public, "POST", "/session", headers, &body);
            kept(server)
        },
        check: "forwarded",
        grade: "warning",
        words: ["X-Forwarded-For arrives", "Add its address"],
    },
    Scene {
        plant: |place| {
            place.json(&["api", "create", "lonely"]);
            None
        },
        check: "api",
        grade: "warning",
        words: ["`lonely`: no client may call it", "--api"],
    },
    Scene {
        plant: |place| {
            let first = "slot = (SELECT MIN(slot) FROM users)";
            sql(place, &format!("UPDATE users SET phone_number = '+4915112345678' WHERE {first}"));
            None
        },
        check: "sender",
        grade: "error",
        words: ["users have verified numbers", "remint sender set sms"],
    },
    Scene {
        plant: |place| {
            place.json(&["client", "update", "web", "--origin", "http://app.example"]);
            None
        },
        check: "client",
        grade: "warning",
        words: ["http://app.example", "use https"],
    },
    Scene {
        plant: |place| {
            sql(place, "UPDATE keys SET since = since - 9000000000000 WHERE purpose = 'ES256'");
            None
        },
        check: "key rotation",
        grade: "warning",
        words: ["ES256 key has been in use for 104 days", "remint key rotate ES256"],
    },
    Scene {
        plant: |place| {
            let file = std::fs::read_to_string(place.path("remint.toml")).unwrap();
            let open = file.replace("operations_listen = '127.0.0.1:0'", "operations_listen = '0.0.0.0:0'");
            std::fs::write(place.path("remint.toml"), open).unwrap();
            None
        },
        check: "operators",
        grade: "warning",
        words: ["reads the metrics", "firewall"],
    },
    Scene {
        plant: |place| {
            place.configured("trusted_proxy = ['10.0.0.1']\n");
            None
        },
        check: "configuration",
        grade: "error",
        words: ["`trusted_proxy`", "did you mean `trusted_proxies`?"],
    },
];

/// An installation that was served once, with one api, one client, and somebody who logged in.
fn sound() -> Place {
    let place = Place::new();
    public_url(&place, &answering(None));
    let server = place.serve();
    place.json(&["api", "create", "orders"]);
    place.json(&["client", "create", "web", "--policy", "refresh", "--api", "orders", "--first-party"]);
    assert!(place.with_stdin(&["user", "create", "ada"], "analytical engine 1843\n").status.success());
    let body = json!({"client_id": "web", "identifier": "ada", "password": "analytical engine 1843"}).to_string();
    let (status, answer) = ask(&server.public, "POST", "/session", crate::place::JSON, &body);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(server.stopped(), Some(0));
    place
}

fn findings(place: &Place) -> (Vec<Value>, Option<i32>) {
    let output = place.remint(&["doctor", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (said["checks"].as_array().unwrap().clone(), output.status.code())
}

impl Scene {
    fn is_found_in(&self, findings: &[Value]) -> bool {
        findings.iter().any(|finding| {
            let found = finding["found"].as_str().unwrap();
            let named = finding["check"] == self.check && finding["grade"] == self.grade;
            named && self.words.iter().all(|word| found.contains(word))
        })
    }
}

#[test]
fn each_planted_mistake_is_found_by_name_with_what_to_do_and_nothing_is_found_where_none_is() {
    let place = sound();
    let (healthy, code) = findings(&place);
    assert_eq!(code, Some(0), "{healthy:#?}");
    for (n, scene) in SCENES.iter().enumerate() {
        if scene.check != "public URL" {
            assert!(!scene.is_found_in(&healthy), "{n} is found where it was not planted: {healthy:#?}");
        }
        let place = if n == 0 { &place } else { &sound() };
        let kept = (scene.plant)(place);
        let (found, code) = findings(place);
        assert!(scene.is_found_in(&found), "{n}, {}: {found:#?}", scene.check);
        assert_eq!(code, Some(i32::from(scene.grade == "error")), "{n}: an error is told by the exit code");
        drop(kept);
    }
}
