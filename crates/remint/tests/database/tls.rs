//! TLS to the database: who is believed, and what is said where nobody is. The certificates are made here, by openssl.

use std::path::PathBuf;
use std::process::Command;

use remint::store::{FeedHead, OpenError, Store, StoreOptions};
use tempfile::TempDir;

use crate::node::Place;
use crate::server::{Postgres, owned};

/// An authority, and what it issued.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        std::fs::write(authority.path("index"), "").unwrap();
        std::fs::write(authority.path("serial"), "01\n").unwrap();
        let config = "[ca]\ndefault_ca = one\n[one]\ndatabase = index\nserial = serial\nnew_certs_dir = .\n\
                      default_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n\
                      [req]\ndistinguished_name = any\n";
        std::fs::write(authority.path("config"), config).unwrap();
        let extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"];
        authority.openssl(
            &[
                &["req", "-x509", "-days", "2", "-subj", "/CN=authority", "-out", "ca.pem"],
                KEY,
                &["ca.key"],
                &extensions,
            ]
            .concat(),
        );
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let config = ("OPENSSL_CONF", self.path("config"));
        let output =
            Command::new("openssl").args(arguments).env(config.0, config.1).current_dir(self.0.path()).output();
        let output = output.expect("openssl is missing: install it");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Issues a certificate for these names and this time, and gives it to a server that is started anew with it.
    fn issue_to(&self, server: &Postgres, names: &str, until: &str) {
        let request = [&["req", "-new", "-subj", "/CN=database", "-out", "request"], KEY, &["server.key"]].concat();
        self.openssl(&request);
        std::fs::write(self.path("extensions"), format!("subjectAltName={names}\n")).unwrap();
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "config",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-in",
            "request",
            "-out",
            "server.pem",
            "-extfile",
            "extensions",
            "-startdate",
            "20200101000000Z",
            "-enddate",
            until,
        ]);
        for name in ["server.key", "server.pem"] {
            std::fs::copy(self.path(name), server.path(name)).unwrap();
            owned(&server.path(name));
        }
        std::fs::set_permissions(server.path("server.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        server.stop("fast");
        server.set("ssl = on\nssl_cert_file = '../server.pem'\nssl_key_file = '../server.key'");
        server.start();
    }
}

const KEY: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"];
const LATER: &str = "20991231000000Z";
const OURS: &str = "IP:127.0.0.1,DNS:localhost";

fn open(url: &str, ca_file: Option<PathBuf>) -> Result<Store, OpenError> {
    Store::connect(url, StoreOptions { database_ca_file: ca_file, ..StoreOptions::default() }, [7; 16])
}

#[track_caller]
fn refused(url: &str, ca_file: Option<PathBuf>, says: &str) {
    let refused = open(url, ca_file).err().expect("it is refused").to_string();
    assert!(refused.contains(says) && !refused.contains("hunter2"), "{says}: {refused}");
}

#[tokio::test]
async fn a_server_is_believed_by_its_name_and_chain_alone_and_every_refusal_says_what_to_do() {
    let (authority, server) = (Authority::new(), Postgres::new(""));
    let ca = || Some(authority.path("ca.pem"));
    let url = |mode: &str| format!("{}?sslmode={mode}", server.url());

    refused(&url("require"), ca(), "`ssl = on`");
    open(&url("prefer"), ca()).expect("it was said that clear text will do").close().await;
    open(&server.url(), None).expect("to this machine itself").close().await;

    authority.issue_to(&server, OURS, LATER);
    for mode in ["require", "verify-ca", "verify-full", "prefer"] {
        let store = open(&url(mode), ca()).unwrap();
        store.read(FeedHead).await.unwrap();
        let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                         WHERE application_name = 'remint'";
        assert_eq!(server.ask(encrypted), "t", "{mode}");
        store.close().await;
    }
    refused(&url("require"), None, "`database_ca_file`");
    refused(&url("prefer"), None, "`database_ca_file`"); // what cannot be checked is not replaced by clear text
    refused(&url("require"), Some(Authority::new().path("ca.pem")), "`database_ca_file`");
    refused(&url("require"), Some(authority.path("request")), "certificates in PEM");
    refused(&url("require"), Some(authority.path("nothing")), "`database_ca_file`");
    let by_name = |name: &str| {
        format!(
            "host={name} hostaddr=127.0.0.1 port={} user=remint password=hunter2 dbname=postgres sslmode=require",
            server.port
        )
    };
    refused(&by_name("db.example"), ca(), "`subjectAltName`");
    open(&by_name("localhost"), ca()).unwrap().close().await;

    authority.issue_to(&server, OURS, "20200102000000Z");
    refused(&url("require"), ca(), "has expired");
}

#[tokio::test]
async fn a_node_speaks_tls_with_a_password_that_is_bound_to_the_channel() {
    let (authority, server) = (Authority::new(), Postgres::new(""));
    authority.issue_to(&server, OURS, LATER);
    server.ask("ALTER ROLE remint PASSWORD 'hunter2'");
    server.write("data/pg_hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256\n");
    server.reload();
    let url = format!("postgres://remint:hunter2@127.0.0.1:{}/postgres?channel_binding=require", server.port);
    let ca_file = format!("database_ca_file = '{}'\n", authority.path("ca.pem").display());
    let node = Place::new(&format!("{url}&sslmode=verify-full"), &ca_file);
    let serving = node.serve();
    assert_eq!(serving.http.ready().await, 200);
    assert!(!serving.log().contains("hunter2"));

    let (code, said) = Place::new(&format!("{url}&sslmode=require"), "").refused();
    assert!(code == Some(1) && said.contains("`database_ca_file`") && !said.contains("hunter2"), "{said}");
}
