//! The matrix of sources, and every refusal with what it tells the operator to do.

use std::fs;

use remint_core::sender::SmsLimits;
use tempfile::TempDir;

use super::*;
use crate::settings::{Carrier, Sms};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A directory with a data directory and a master key beside it.
struct Scene {
    dir: TempDir,
    environment: Vec<(String, String)>,
    flags: Flags,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let scene = Scene { dir, environment: Vec::new(), flags: Flags::default() };
    scene.key_at("key", 0o600);
    scene.file("")
}

impl Scene {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn key_at(&self, name: &str, mode: u32) {
        fs::write(self.path(name), KEY).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn file(mut self, text: &str) -> Self {
        fs::write(self.path("c.toml"), text).unwrap();
        self.flags.file = Some(self.path("c.toml").into());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: Key, value: &str) -> Self {
        self.flags.values.insert(key, vec![value.to_owned()]);
        self
    }

    /// The three settings that are needed, in the environment.
    fn complete(self) -> Self {
        let (data, key) = (self.path("data"), self.path("key"));
        self.env("REMINT_PUBLIC_URL", "https://id.example")
            .env("REMINT_DATA", &data)
            .env("REMINT_MASTER_KEY_FILE", &key)
    }

    fn load(&self) -> Result<Config, BadConfig> {
        Config::load(&self.flags, &self.environment.iter().cloned().collect())
    }

    fn refused(&self) -> String {
        self.load().unwrap_err().to_string()
    }
}

#[test]
fn three_settings_are_enough() {
    let config = scene().complete().load().unwrap();
    assert_eq!(config.settings.issuer.as_str(), "https://id.example");
    assert_eq!(config.listen.to_string(), "127.0.0.1:7070");
    assert_eq!(config.operations_listen.to_string(), "127.0.0.1:7071");
    assert_eq!(config.log.filter, "info");
}

#[test]
fn what_is_missing_is_told_at_once_with_what_to_do() {
    let refused = scene().refused();
    for word in
        ["`public_url`", "REMINT_PUBLIC_URL", "--public-url", "`data`", "openssl rand -hex 32", "LoadCredential"]
    {
        assert!(refused.contains(word), "{word}: {refused}");
    }
}

#[test]
fn the_later_source_wins() {
    let listen = |scene: Scene| scene.complete().load().unwrap().listen.port();
    let in_file = || scene().file("listen = '127.0.0.1:1'");
    assert_eq!(listen(in_file()), 1);
    assert_eq!(listen(in_file().env("REMINT_LISTEN", "127.0.0.1:2")), 2);
    assert_eq!(listen(in_file().env("REMINT_LISTEN", "127.0.0.1:2").flag(Key::Listen, "127.0.0.1:3")), 3);
}

#[test]
fn every_setting_can_be_in_the_file_in_the_environment_and_a_flag() {
    for key in Key::ALL {
        assert_eq!(Key::named(key.name()), Some(key));
        let broken = scene().complete().file(&format!("{key} = {{}}")).refused();
        assert!(broken.contains(&format!("`{key}`")), "{broken}");
    }
    let proxies = |scene: Scene| scene.complete().load().unwrap().settings.trusted_proxies.len();
    assert_eq!(proxies(scene().file("trusted_proxies = ['10.0.0.0/8', '::1']")), 2);
    assert_eq!(proxies(scene().env("REMINT_TRUSTED_PROXIES", "10.0.0.0/8, ::1")), 2);
}

#[test]
fn a_setting_can_be_read_from_a_file_that_the_environment_names() {
    let scene = scene().complete();
    fs::write(scene.path("url"), "https://other.example\n").unwrap();
    let url = scene.path("url");
    let mut scene = scene.env("REMINT_PUBLIC_URL_FILE", &url);
    scene.environment.retain(|(name, _)| name != "REMINT_PUBLIC_URL");
    assert_eq!(scene.load().unwrap().settings.issuer.as_str(), "https://other.example");
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_one() {
    let refused = scene().complete().file("lisen = '127.0.0.1:1'").refused();
    assert!(refused.contains("`lisen`") && refused.contains("did you mean `listen`?"), "{refused}");
    let refused = scene().complete().env("REMINT_TRUSTED_PROXY", "::1").refused();
    assert!(refused.contains("did you mean `REMINT_TRUSTED_PROXIES`?"), "{refused}");
    let refused = scene().complete().file("master_key = 'x'").refused();
    assert!(refused.contains("master_key_file"), "{refused}");
    assert!(scene().complete().file("[server]\nlisten = 'x'").refused().contains("`server`"));
}

#[test]
fn variables_of_the_neighbours_are_none_of_ours() {
    let scene = scene().complete().env("REMINT_ISSUER", "https://x").env("REMINT_PORT", "tcp://10.0.0.1:80");
    assert!(scene.env("REMINT_SERVICE_PORT_HTTP", "80").load().is_ok());
}

#[test]
fn every_value_is_checked() {
    for (line, word) in [
        ("public_url = 'http://id.example'", "https://host"),
        ("public_url = 'https://id.example/'", "trailing slash"),
        ("listen = 'localhost'", "127.0.0.1:7070"),
        ("listen = ['127.0.0.1:1']", "127.0.0.1:7070"),
        ("data = ''", "a directory"),
        ("trusted_proxies = ['proxy.local']", "proxy.local"),
        ("jwks_max_age = '5 minutes'", "like 30s"),
        ("drain_time = '0s'", "like 30s"),
        ("connections = 0", "from 1"),
        ("hashing_at_once = 99999", "from 1"),
        ("log_format = 'xml'", "text or json"),
        ("log = 'a=b=c'", "a filter"),
    ] {
        let mut scene = scene().file(line).complete();
        let variable = format!("REMINT_{}", line.split(' ').next().unwrap().to_uppercase());
        scene.environment.retain(|(name, _)| *name != variable);
        let refused = scene.refused();
        assert!(refused.contains(word) && refused.contains("c.toml"), "{line}: {refused}");
    }
    let same = scene().complete().file("listen = '127.0.0.1:7071'").refused();
    assert!(same.contains("an address of their own"), "{same}");
}

#[test]
fn a_master_key_that_others_can_read_or_that_lies_with_the_data_is_refused() {
    let open = scene();
    open.key_at("key", 0o640);
    let refused = open.complete().refused();
    assert!(refused.contains("mode 640") && refused.contains("chmod 600"), "{refused}");

    let inside = scene();
    inside.key_at("data/key", 0o600);
    let key = inside.path("data/key");
    let refused = inside.complete().flag(Key::MasterKeyFile, &key).refused();
    assert!(refused.contains("lock and key"), "{refused}");

    let linked = scene();
    linked.key_at("data/key", 0o600);
    std::os::unix::fs::symlink(linked.path("data/key"), linked.path("link")).unwrap();
    let link = linked.path("link");
    assert!(linked.complete().flag(Key::MasterKeyFile, &link).refused().contains("lock and key"));
}

#[test]
fn a_master_key_comes_from_one_place_and_is_never_repeated_in_an_error() {
    let twice = scene().complete().env("REMINT_MASTER_KEY", KEY).refused();
    assert!(twice.contains("twice"), "{twice}");

    let without_file = |scene: Scene| {
        let mut scene = scene.complete();
        scene.environment.retain(|(name, _)| name != "REMINT_MASTER_KEY_FILE");
        scene
    };
    assert!(without_file(scene()).env("REMINT_MASTER_KEY", KEY).load().is_ok());
    let wrong = without_file(scene()).env("REMINT_MASTER_KEY", "swordfish").refused();
    assert!(wrong.contains("REMINT_MASTER_KEY") && !wrong.contains("swordfish"), "{wrong}");

    let credential = without_file(scene());
    credential.key_at(CREDENTIAL, 0o440);
    let directory = credential.dir.path().display().to_string();
    assert!(credential.env("CREDENTIALS_DIRECTORY", &directory).load().is_ok());
}

#[test]
fn a_directory_that_dev_made_is_refused() {
    let scene = scene().complete();
    fs::write(Path::new(&scene.path("data")).join(DEV_MARKER), "").unwrap();
    let refused = scene.refused();
    assert!(refused.contains("remint dev") && refused.contains("another directory"), "{refused}");
}

#[test]
fn neither_configuration_nor_environment_print_a_secret() {
    let scene = scene().complete();
    let printed = format!("{:?}", scene.load().unwrap());
    assert!(!printed.contains(KEY) && !printed.contains("[0, 1, 2"), "{printed}");
    let environment: Environment = [("REMINT_MASTER_KEY".to_owned(), KEY.to_owned())].into_iter().collect();
    assert!(!format!("{environment:?}").contains(KEY));
}

#[test]
fn a_length_of_time_is_a_number_and_its_unit() {
    let secs = |text| duration(text).map(|duration| duration.as_secs());
    assert_eq!(
        [secs("30s"), secs("5m"), secs("12h"), secs("90d")],
        [Some(30), Some(300), Some(43200), Some(7_776_000)]
    );
    for wrong in ["", "s", "5", "0s", "-1s", "+1s", "1.5h", "5 m", "5M", "1w", "ä", "99999999999999999999d"] {
        assert_eq!(secs(wrong), None, "{wrong}");
    }
}

#[test]
fn what_is_shown_as_a_default_is_the_default() {
    let mut all = scene().complete();
    for key in Key::ALL {
        if let Some(default) = key.default_text() {
            all = all.flag(key, default);
        }
    }
    let without = scene().complete();
    let printed = |scene: &Scene| {
        let config = scene.load().unwrap();
        let limits = config.settings.sms.limits.over(SmsLimits::default()); // what is not set can be declared
        let settings = Settings { data: "data".into(), sms: Sms::default(), ..config.settings };
        format!(
            "{settings:?} {limits:?} {:?} {:?} {:?} {:?}",
            config.listen, config.operations_listen, config.limits, config.log
        )
    };
    assert_eq!(printed(&all), printed(&without));
}

#[test]
fn a_database_makes_room_for_clocks_that_lie_apart_and_its_password_is_never_shown() {
    assert_eq!(scene().complete().load().unwrap().settings.timing.clock_skew, Duration::ZERO);
    let with = scene().complete().env("REMINT_DATABASE", "postgres://remint:hunter2@db.example/remint");
    let settings = with.load().unwrap().settings;
    assert_eq!(settings.timing.clock_skew, Duration::from_secs(5));
    let with = with.flag(Key::DatabaseCaFile, "ca.pem");
    assert_eq!(with.load().unwrap().settings.database_ca_file, Some("ca.pem".into()));
    let environment = with.environment.iter().cloned().collect();
    let shown = show(&with.flags, &environment, true).unwrap();
    assert!(!format!("{settings:?} {shown:?}").contains("hunter2"));
    for wrong in ["", "mysql://remint:hunter2@db.example", "postgres://", "hunter2"] {
        let refused = scene().complete().flag(Key::Database, wrong).refused();
        assert!(refused.contains("postgres://remint@db.example/remint") && !refused.contains("hunter2"), "{refused}");
    }
}

#[test]
fn a_collector_is_named_by_a_url_without_a_password_and_only_where_traces_are_built_in() {
    for wrong in
        ["127.0.0.1:4318", "ftp://collector", "http://", "http://user:secret@collector/v1/traces", "http://a b"]
    {
        let refused = scene().complete().flag(Key::TracesUrl, wrong).refused();
        assert!(refused.contains("without a user or password") && !refused.contains("secret@"), "{refused}");
    }
    let good = scene().complete().flag(Key::TracesUrl, "http://127.0.0.1:4318/v1/traces");
    if crate::traces::BUILT_IN {
        assert!(good.load().is_ok());
    } else {
        assert!(good.refused().contains("--features traces"));
    }
}

#[test]
fn the_channel_of_pages_has_its_settings() {
    let settings = |text: &str| scene().complete().file(text).load().unwrap().settings;
    let set = settings("page_streams = 7\npage_heartbeat = '45s'");
    assert_eq!((set.limits.page_streams, set.page_heartbeat.as_secs()), (7, 45));
    let usual = settings("");
    assert_eq!((usual.limits.page_streams, usual.page_heartbeat.as_secs()), (5_000, 20));
    for (line, word) in [("page_streams = 0", "from 1 to 65535"), ("page_heartbeat = '20'", "a length of time")] {
        let refused = scene().complete().file(line).refused();
        assert!(refused.contains(word), "{line}: {refused}");
    }
}

#[test]
fn codes_need_a_webhook_and_its_secret_and_the_secret_is_never_printed() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let url = "sms_webhook_url = 'https://sms.example/send'";
    assert!(matches!(scene().complete().load().unwrap().settings.sms.carrier, Carrier::Nobody));
    assert!(scene().complete().file(url).refused().contains("openssl rand -hex 32"));
    let with_secret = |text: &str| scene().complete().file(text).env("REMINT_SMS_WEBHOOK_SECRET", SECRET);
    let config = with_secret(&format!("{url}\nsms_per_day = 7\nsms_countries = ['44', '49']")).load().unwrap();
    let sms = &config.settings.sms;
    assert!(matches!(sms.carrier, Carrier::Webhook(_)));
    let limits = sms.limits.over(SmsLimits::default());
    assert_eq!((limits.per_day.get(), limits.per_number.get(), limits.countries.len()), (7, 5, 2));
    let printed = format!("{config:?}");
    assert!(!printed.contains(SECRET) && !printed.contains("sms.example"), "{printed}");
    assert!(with_secret("").refused().contains("`sms_webhook_url` is not"));
    let in_a_file = scene().complete().file(url);
    fs::write(in_a_file.path("secret"), format!("{SECRET}\n")).unwrap();
    let path = in_a_file.path("secret");
    let in_a_file = in_a_file.env("REMINT_SMS_WEBHOOK_SECRET_FILE", &path);
    assert!(matches!(in_a_file.load().unwrap().settings.sms.carrier, Carrier::Webhook(_)));
    assert!(in_a_file.env("REMINT_SMS_WEBHOOK_SECRET", SECRET).refused().contains("given twice"));
    let short = scene().complete().file(url).env("REMINT_SMS_WEBHOOK_SECRET", "short").refused();
    assert!(short.contains("fewer than 32 bytes") && !short.contains("openssl rand -hex 32`, tell"), "{short}");
    for (line, word) in [
        ("sms_webhook_url = 'http://sms.example/'", "https URL"),
        ("sms_countries = ['+44']", "calling codes"),
        ("sms_per_number = 0", "at least 1"),
    ] {
        let refused = with_secret(line).refused();
        assert!(refused.contains(word), "{line}: {refused}");
    }
}
