//! What is made from the command line's own description: completion scripts and manual pages. Never written by hand, so
//! no command is missing.

use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, CliError, write_bytes};

/// The completion script of a shell.
pub(super) fn completion(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "remint", &mut script);
    script
}

/// Writes the manual: `remint.1`, `remint-user-create.1` and so on, or the whole to standard output.
pub(super) fn manual(directory: Option<&Path>) -> Result<(), CliError> {
    let pages = pages()?;
    let Some(directory) = directory else {
        return write_bytes(&pages.into_iter().flat_map(|(_, page)| page).collect::<Vec<_>>());
    };
    let cannot = |error| CliError::failed(format!("{} cannot be written: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(cannot)?;
    for (name, page) in pages {
        std::fs::write(directory.join(format!("{name}.1")), page).map_err(cannot)?;
    }
    Ok(())
}

/// Each page with its name, commands before their subcommands.
fn pages() -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    page(&root, "", &mut pages)?;
    Ok(pages)
}

fn page(command: &Command, before: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), CliError> {
    let name =
        if before.is_empty() { command.get_name().to_owned() } else { format!("{before}-{}", command.get_name()) };
    let mut text = Vec::new();
    let titled = command.clone().display_name(name.clone());
    clap_mangen::Man::new(titled).title(name.to_uppercase()).render(&mut text)?;
    pages.push((name.clone(), text));
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| page(below, &name, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of every command that can be called.
    fn commands(command: &Command, before: &[String], all: &mut Vec<Vec<String>>) {
        for below in command.get_subcommands() {
            let words = [before, &[below.get_name().to_owned()]].concat();
            commands(below, &words, all);
            all.push(words);
        }
    }

    fn all() -> Vec<Vec<String>> {
        let mut all = Vec::new();
        commands(&Cli::command(), &[], &mut all);
        all
    }

    #[test]
    fn every_command_has_a_page_that_names_it_and_its_flags() {
        let pages: std::collections::BTreeMap<_, _> = pages().unwrap().into_iter().collect();
        for words in all() {
            let page = &pages[&format!("remint-{}", words.join("-"))];
            let text = String::from_utf8(page.clone()).unwrap();
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{words:?}: {text}");
        }
        let root = String::from_utf8(pages["remint"].clone()).unwrap();
        assert!(root.contains("Exit codes: 0 done, 1 failed"), "{root}");
        assert_eq!(pages.len(), all().len() + 1);
    }

    #[test]
    fn every_command_is_completed_in_every_shell() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = String::from_utf8(completion(shell)).unwrap();
            for words in all() {
                assert!(script.contains(words.last().unwrap().as_str()), "{shell}: {words:?}");
            }
        }
    }
}
