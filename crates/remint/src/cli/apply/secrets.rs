//! Where the secrets go that the server makes once and never shows again: into a file of the owner's own, each as soon as
//! it is made, or to the terminal. Never writes one twice, and never into a file that others can read.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::cli::CliError;

/// The secrets of one run.
pub(super) enum Secrets {
    /// To be printed at the end.
    Printed(BTreeMap<String, String>),
    /// In a file, one line each: `"client_id" = "secret"`.
    File(PathBuf, File),
}

impl Secrets {
    /// Opened before anything is changed: a secret that cannot be written is lost. `expected` are the ids that will
    /// get one.
    pub(super) fn open(path: Option<&Path>, expected: &[&str]) -> Result<Self, CliError> {
        let Some(path) = path.filter(|_| !expected.is_empty()) else { return Ok(Self::Printed(BTreeMap::new())) };
        let cannot = |error: &dyn std::fmt::Display| {
            CliError::usage(format!("the file of secrets {} cannot be used: {error}", path.display()))
        };
        let mut options = OpenOptions::new();
        let opened = options.read(true).append(true).create(true).mode(0o600).open(path);
        let mut file = opened.map_err(|error| cannot(&error))?;
        let mode = file.metadata().map_err(|error| cannot(&error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(cannot(&format!("others can read it (mode {:03o}): chmod 600 it", mode & 0o777)));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| cannot(&error))?;
        let held: toml::Table = text.parse().map_err(|_| cannot(&"it holds something else"))?;
        match expected.iter().find(|id| held.contains_key(**id)) {
            Some(id) => Err(cannot(&format!("it holds an earlier secret of `{id}`: take that line out"))),
            None => Ok(Self::File(path.to_owned(), file)),
        }
    }

    /// Keeps a secret, safe before the next step.
    pub(super) fn keep(&mut self, id: &str, secret: &str) -> Result<(), CliError> {
        match self {
            Self::Printed(all) => drop(all.insert(id.to_owned(), secret.to_owned())),
            Self::File(path, file) => {
                let line = format!("{} = {}\n", toml::Value::from(id), toml::Value::from(secret));
                let kept = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
                kept.map_err(|error| {
                    let remedy = format!("make `{id}` another with rotate-secret");
                    CliError::failed(format!("a secret could not be written to {}: {error}: {remedy}", path.display()))
                })?;
            }
        }
        Ok(())
    }

    /// Those to be printed.
    pub(super) fn printed(&self) -> impl Iterator<Item = (&String, &String)> {
        match self {
            Self::Printed(all) => Some(all.iter()).into_iter().flatten(),
            Self::File(..) => None.into_iter().flatten(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_into_a_file_of_the_owner_s_own_and_never_over_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        let mut secrets = Secrets::open(Some(&path), &["a.b"]).unwrap();
        secrets.keep("a.b", "s\"1").unwrap();
        assert_eq!(secrets.printed().count(), 0);
        let held: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        assert_eq!(held["a.b"].as_str(), Some("s\"1"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = Secrets::open(Some(&path), &["a.b"]).err().unwrap().to_string();
        assert!(again.contains("earlier secret of `a.b`"), "{again}");
        Secrets::open(Some(&path), &["c"]).unwrap().keep("c", "s2").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Secrets::open(Some(&path), &["d"]).err().unwrap().to_string().contains("chmod 600"));
    }
}
