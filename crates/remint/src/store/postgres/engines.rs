//! What PostgreSQL-compatible engines that spread one database over many machines do not take, or take for something
//! else: no statement of the store may have it. `docs/database-engines.md` says for which engine each line stands.

use std::fs;
use std::path::Path;

use super::tables::TABLES;

const SCHEMA: &str = include_str!("schema/0001.sql");

/// Words of statements that would tie the store to one engine, or to one connection.
const FORBIDDEN: &[&str] = &[
    // Messages between sessions: CockroachDB has none, YugabyteDB since 2025.2 only.
    "LISTEN",
    "NOTIFY",
    "UNLISTEN",
    "PG_NOTIFY",
    // Sequences: a round trip to one machine, or numbers in no order.
    "NEXTVAL",
    "CURRVAL",
    "LASTVAL",
    "SETVAL",
    "SERIAL",
    "BIGSERIAL",
    // Locks that are weaker, stronger or missing elsewhere.
    "NOWAIT",
    "SKIP LOCKED",
    "NO KEY UPDATE",
    "KEY SHARE",
    "LOCK TABLE",
    "PG_ADVISORY_LOCK",
    // What belongs to a connection, which a pool in transaction mode hands to somebody else.
    "TEMP",
    "TEMPORARY",
    "DECLARE",
    "SET LOCAL",
    "SET SESSION",
    "DISCARD",
    "SAVEPOINT",
    "PREPARE TRANSACTION",
    // How one engine keeps its rows.
    "CTID",
    "XMIN",
    "XMAX",
    "TXID_CURRENT",
    "PG_CURRENT_XACT_ID",
    "TABLESAMPLE",
    // Rules that run in the database.
    "TRIGGER",
    "FUNCTION",
    "PROCEDURE",
    "EXTENSION",
    "REFERENCES",
    "DEFERRABLE",
    // What is planned on many machines as something dear, or not at all.
    "LATERAL",
    "RECURSIVE",
    "MERGE",
];

/// What does not ask while requests are answered: SQLite's, this test, and what changes the schema or works alone on a database
/// at an operator's word, which may lock what it likes.
const NOT_SERVING: &[&str] =
    &["sqlite.rs", "migrate.rs", "engines.rs", "schema.rs", "raise.rs", "alone.rs", "transfer.rs"];

/// What a string must have one of to be taken for a piece of SQL. Ours is written with capital keywords.
const KEYWORDS: &[&str] = &[
    "SELECT", "FROM", "WHERE", "INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "ROLLBACK", "CREATE", "ORDER", "UNNEST",
];

/// Whether these words stand in a text, next to each other, as whole words.
fn says(text: &str, words: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let flat = text.split(|c| !name(c)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    format!(" {flat} ").contains(&format!(" {words} "))
}

/// The strings of a source file: its tests and its comments are left out.
fn strings(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n").replace("\\\"", "").replace("'\"'", "");
    code.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every piece of SQL in the sources of the store that PostgreSQL may be sent, with the file that it stands in; and the
/// statements that are made of them.
fn statements() -> Vec<(String, String)> {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let files = [store.clone(), store.join("postgres")].map(|folder| fs::read_dir(folder).unwrap().map(Result::unwrap));
    let mut all = Vec::new();
    for file in files.into_iter().flatten() {
        let name = file.file_name().into_string().unwrap();
        if name.ends_with(".rs") && !NOT_SERVING.contains(&name.as_str()) {
            let strings = strings(&fs::read_to_string(file.path()).unwrap());
            let sql = strings.into_iter().filter(|text| KEYWORDS.iter().any(|keyword| says(text, keyword)));
            all.extend(sql.map(|text| (name.clone(), text)));
        }
    }
    let made = TABLES.iter().flat_map(|bulk| {
        [&bulk.fetch, &bulk.lock, &bulk.share, &bulk.insert, &bulk.update, &bulk.renew, &bulk.delete]
            .map(|sql| (bulk.name, sql))
    });
    all.extend(made.map(|(table, sql)| (table.to_owned(), sql.clone())));
    all
}

#[test]
fn the_reader_of_sources_sees_what_stands_there() {
    let all = statements();
    assert!(all.len() > 120, "{}", all.len());
    for known in ["REPEATABLE READ READ ONLY", "FOR UPDATE OF t", "FOR SHARE OF t", "ON CONFLICT DO NOTHING", "UNNEST"]
    {
        assert!(all.iter().any(|(_, text)| says(text, known)), "{known}");
    }
    assert_eq!(strings("let a = \"SELECT \\\n  1\"; // \"no\"\nlet b = '\"';\n// \"c\"\nlet d = \"x\";").len(), 3);
    assert!(says("SELECT pg_notify($1)", "pg_notify") && !says("notifying", "notify"));
}

#[test]
fn no_statement_relies_on_what_other_engines_do_not_have() {
    for (place, text) in statements() {
        let upper = text.to_uppercase();
        for word in FORBIDDEN {
            assert!(!says(&upper, word), "{place}: {word}: {text}");
        }
    }
}

#[test]
fn a_statement_of_many_rows_knows_one_table_and_finds_it_by_its_key() {
    for bulk in TABLES.iter() {
        for sql in [&bulk.fetch, &bulk.lock, &bulk.share, &bulk.insert, &bulk.update, &bulk.renew, &bulk.delete] {
            let others =
                TABLES.iter().filter(|other| other.name != bulk.name && says(sql, &format!("FROM {}", other.name)));
            assert_eq!(others.count(), 0, "{sql}");
            assert!(!says(sql, "RANDOM") && !says(sql, "NOW"), "{sql}: the same twice must write the same");
        }
    }
}

#[test]
fn the_schema_has_plain_types_and_one_sequence_that_no_renewal_touches() {
    let code: Vec<&str> = SCHEMA.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let code = code.join("\n").to_uppercase();
    for word in FORBIDDEN.iter().filter(|word| **word != "KEY SHARE") {
        assert!(!says(&code, word), "{word}");
    }
    let tables = code.split("CREATE TABLE ").skip(1);
    let numbered: Vec<&str> =
        tables.filter(|table| says(table, "IDENTITY")).filter_map(|t| t.split(' ').next()).collect();
    assert_eq!(numbered, ["AUDIT"]);
    for column in code.lines().filter(|line| line.starts_with("  ") && !line.trim().is_empty()) {
        let kind = column.split_whitespace().nth(1).unwrap_or_default().trim_end_matches(',');
        assert!(["BIGINT", "TEXT", "BYTEA"].contains(&kind), "{column}");
    }
}
