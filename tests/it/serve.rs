//! `gapless serve` from the outside: psql, two drivers of Python, and clients that mean no good.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gapless::console::{READY_QUERIES, TABLES};
use serde_json::{Value, json};

use super::outside::{psql, run_python};
use super::sql::{HOSTILE, Report, finding};

/// A server over a report, ended when it goes out of scope.
struct Server {
    process: Child,
    address: SocketAddr,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Server {
    fn start(report: &Path) -> Self {
        Self::start_with(report, &[], &[])
    }

    fn start_with(report: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut process = command(report, arguments, environment).spawn().expect("gapless starts");
        let mut stderr = BufReader::new(process.stderr.take().expect("stderr"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("a line");
        let address = line.split_once("postgresql://").and_then(|(_, rest)| rest.split_once('/')).map(|(address, _)| address);
        let address = address.unwrap_or_else(|| panic!("no address in: {line}")).parse().expect("an address");
        Self { process, address, stderr }
    }

    fn port(&self) -> String {
        self.address.port().to_string()
    }

    fn client(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut client = Command::new(psql());
        client.args(["-X", "-h", "127.0.0.1", "-p", &self.port(), "-d", "gapless", "-U", "tester", "-v", "ON_ERROR_STOP=1"]);
        client.args(arguments).env("PGCONNECT_TIMEOUT", "20").env("PAGER", "cat").env("LC_ALL", "C.UTF-8").env_remove("PGPASSWORD");
        client.envs(environment.iter().copied()).output().expect("psql runs")
    }

    /// What psql prints for one command or statement, without frills.
    #[track_caller]
    fn says(&self, statement: &str) -> String {
        let output = self.client(&["-A", "-t", "-c", statement], &[]);
        assert!(output.status.success(), "{statement}\n{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{statement}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The code and the words with which a statement is refused.
    #[track_caller]
    fn refuses(&self, statement: &str) -> (String, String) {
        let output = self.client(&["-A", "-t", "-v", "VERBOSITY=verbose", "-c", statement], &[]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{statement}\n{}", String::from_utf8_lossy(&output.stdout));
        let (_, rest) = complaint.split_once("ERROR:  ").unwrap_or_else(|| panic!("{statement}\n{complaint}"));
        let (code, words) = rest.split_once(": ").expect("a code");
        (code.to_owned(), words.to_owned())
    }

    /// Sends a signal and waits for the end.
    fn signal(mut self, name: &str) -> (Option<i32>, String, Duration) {
        let started = Instant::now();
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        let status = self.process.wait().expect("an end");
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).expect("stderr");
        (status.code(), rest, started.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(report: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.arg("serve").arg("--report").arg(report);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(arguments).env_remove("GAPLESS_SERVE_PASSWORD").envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a server that does not start says.
#[track_caller]
fn complains(report: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = command(report, arguments, environment).output().expect("gapless runs");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.starts_with("error: ") && complaint.contains("\nhelp: "), "{complaint}");
    complaint
}

#[test]
fn psql_lists_tables_columns_schemas_and_databases() {
    let report = Report::new();
    let server = Server::start(report.path());
    let tables = server.says("\\dt report.*");
    for table in TABLES {
        assert!(tables.contains(&format!("report|{}|table|", table.name)), "{tables}");
        let columns = server.says(&format!("\\d {}", table.name));
        assert!(columns.starts_with("run|text|"), "{columns}");
        for field in table.file_schema().fields() {
            assert!(columns.contains(&format!("\n{}|", field.name())), "{}: {columns}", field.name());
        }
    }
    let findings = server.client(&["-c", "\\d findings"], &[]);
    let findings = String::from_utf8_lossy(&findings.stdout).into_owned();
    assert!(findings.contains("Table \"report.findings\""), "{findings}");
    let squeezed = findings.split_whitespace().collect::<Vec<_>>().join(" ");
    for column in ["from_time | timestamp with time zone |", "from_sequence | numeric |", "rows | bigint |", "accepted | boolean |"] {
        assert!(squeezed.contains(column), "{column}\n{findings}");
    }
    // Without a schema only what is found without one: some queries have the names of tables.
    let bare = server.says("\\d");
    assert!(bare.contains("report|findings|table|") && !bare.contains("queries|"), "{bare}");
    assert!(server.says("\\dt").contains("report|findings|table|"));
    assert!(server.says("\\dv queries.*").contains("queries|open_gaps|view|"));
    assert!(server.says("\\d queries.open_gaps").contains("stream|text|"));
    let schemas = server.says("\\dn");
    assert!(schemas.contains("report|") && schemas.contains("queries|"), "{schemas}");
    assert!(server.says("\\l").contains("gapless|"));
    let all = server.says("SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('report', 'queries')");
    assert_eq!(all.lines().count(), TABLES.len() + READY_QUERIES.len(), "{all}");
    assert_eq!(server.says("SELECT current_database(), current_schema()"), "gapless|report\n");
}

#[test]
fn both_drivers_of_python_read_every_type_and_bind_parameters() {
    let report = Report::new();
    let widest = "9".repeat(38);
    report.run("wide", "2026-05-03T00:00:00.123456Z", "fail");
    report.table(
        "wide",
        "findings",
        &[
            finding(
                "orders",
                "sequence_gap",
                json!({"from_sequence": format!("-{widest}"), "until_sequence": widest, "from_time": "2026-05-01T00:00:00.000001Z", "message": HOSTILE}),
            ),
            finding("ordérs", "gap", json!({"from_sequence": "0", "until_sequence": "10000"})),
            finding("it's", "gap", json!({"from_sequence": "-120000000", "until_sequence": "18446744073709551616"})),
        ],
    );
    report.table(
        "wide",
        "checks",
        &[json!({"stream": "orders", "check": "gap", "findings": 9_223_372_036_854_775_807_i64, "duration_ms": 0.1})],
    );
    let server = Server::start(report.path());
    let said = run_python("serve_drivers.py", &[server.port().as_ref()]);
    assert_eq!(said.trim(), "ok");
    // Raw: what the data holds is what the client gets, terminal escapes too.
    assert_eq!(server.says("SELECT message FROM findings WHERE run = 'wide' AND stream = 'orders'"), format!("{HOSTILE}\n"));
}

#[test]
fn the_ready_made_queries_are_views_that_answer_as_the_console_does() {
    let report = Report::new();
    let server = Server::start(report.path());
    for query in READY_QUERIES {
        let over_the_wire = server.client(&["--csv", "-c", &format!("SELECT * FROM queries.{}", query.id)], &[]);
        assert!(over_the_wire.status.success(), "{}: {}", query.id, String::from_utf8_lossy(&over_the_wire.stderr));
        let over_the_wire = String::from_utf8(over_the_wire.stdout).expect("UTF-8");
        let mut console = Command::new(env!("CARGO_BIN_EXE_gapless"));
        console.args(["sql", &format!("@{}", query.id), "--format", "json", "--report"]).arg(report.path());
        let console: Vec<Value> = serde_json::from_slice(&console.output().expect("gapless runs").stdout).expect("JSON");
        // The rows in their order: the first text column of each, which both write alike.
        let header: Vec<&str> = over_the_wire.lines().next().expect("a header").split(',').collect();
        let (place, name) =
            header.iter().enumerate().find(|(_, name)| console.iter().all(|row| row[**name].is_string())).unwrap_or((0, &header[0]));
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let expected: Vec<String> = console.iter().map(|row| plain(&row[*name])).collect();
        let column = server.says(&format!("SELECT \"{name}\" FROM queries.{}", query.id));
        if !expected.iter().any(|value| value.contains('T') && value.ends_with('Z') || value.contains('\n') || value == "null") {
            assert_eq!(column.lines().collect::<Vec<_>>(), expected, "{} column {place}", query.id);
        }
        assert_eq!(column.lines().count(), console.len(), "{}", query.id);
    }
    let (code, words) = server.refuses("SELECT * FROM queries.open_gap");
    assert_eq!(code, "42P01", "{words}");
}

/// A folder with the report of the flights, whose outage was not wholly filled.
fn verified_flights() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    let flights = super::outside::repository().join("fixtures/flights-outage/gapless.toml");
    let verified = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .current_dir(folder.path())
        .args(["verify", "--quiet", "--job"])
        .arg(&flights)
        .status()
        .expect("gapless runs");
    assert_eq!(verified.code(), Some(1));
    folder
}

/// What docs/serve.md shows: the server over TLS with its openssl command and its password, the statements typed into psql, the panel of Grafana
/// as its plugin sends it, and the notebook. Only addresses, ports and folders are the test's own.
#[test]
fn the_page_of_the_server_shows_what_works() {
    let page = fs::read_to_string(super::outside::repository().join("docs/serve.md")).expect("the page");
    let folder = verified_flights();
    let report = folder.path().join("gapless-report");
    // The lines that are indented are commands; one that ends with a backslash goes on.
    let typed = page.replace("\\\n", " ");
    let lines = |start: &str| -> Vec<String> {
        typed.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    };

    // Encrypted, with the certificate of the page.
    let openssl = lines("openssl");
    assert_eq!(openssl.len(), 1);
    let made = Command::new("bash").current_dir(folder.path()).args(["-c", &openssl[0]]).output().expect("bash runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::write(folder.path().join("secret"), "a password\n").expect("a file");
    let serve: Vec<String> = lines("gapless serve");
    let [plain, encrypted] = &serve[..] else { panic!("{serve:?}") };
    assert_eq!(plain, "gapless serve --report gapless-report");
    let words: Vec<String> = encrypted.split_whitespace().skip(2).map(|word| word.replace("0.0.0.0:5433", "0.0.0.0:0")).collect();
    let words: Vec<String> = words
        .iter()
        .map(|word| if folder.path().join(word).is_file() { folder.path().join(word).display().to_string() } else { word.clone() })
        .collect();
    let server = Server::start_with(&report, &words.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let psql_lines = lines("psql \"host=reports.example.com");
    let connection = psql_lines[0].split('"').nth(1).expect("a connection");
    let connection = format!("{} hostaddr=127.0.0.1", connection.replace("port=5433", &format!("port={}", server.port())));
    let asked = |password: &str| {
        Command::new(psql())
            .current_dir(folder.path())
            .args(["-X", "-A", "-t", "-d", &connection, "-c", "SELECT count(*) FROM runs"])
            .env("PGPASSWORD", password)
            .output()
            .expect("psql runs")
    };
    assert_eq!(String::from_utf8_lossy(&asked("a password").stdout), "1\n", "{}", String::from_utf8_lossy(&asked("a password").stderr));
    assert!(!asked("another").status.success());
    drop(server);

    // What is typed at psql's prompt.
    let server = Server::start(&report);
    let statements = lines("gapless=> ");
    assert_eq!(statements.len(), 3);
    let answers: Vec<String> = statements.iter().map(|line| server.says(line.strip_prefix("gapless=> ").expect("a prompt"))).collect();
    assert!(answers[0].contains("queries|collect_again|view|") && answers[1].contains("departures|"), "{answers:?}");
    assert!(answers[2].contains("|duplicate_key|50\n") && answers[2].contains("|value_mismatch|4\n"), "{}", answers[2]);
    let blocks = |language: &str| -> Vec<String> {
        page.split(&format!("```{language}\n")).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
    };
    // Grafana's macros, as its plugin for PostgreSQL writes them.
    let [panel] = &blocks("sql")[..] else { panic!("one panel") };
    let panel = panel.replace("$__timeFrom()", "'2020-01-01T00:00:00Z'").replace("$__timeTo()", "'2100-01-01T00:00:00Z'");
    assert!(server.says(&panel).contains("|duplicate_key|50\n"));
    assert!(server.says("SELECT * FROM queries.open_gaps").contains("LGA"));
    let [notebook] = &blocks("python")[..] else { panic!("one notebook") };
    let notebook = notebook.replace("port=5433", &format!("port={}", server.port()));
    let output = Command::new(super::outside::python()).args(["-c", &(notebook + "\nprint(len(answer), answer.findings.sum())")]).output();
    let output = output.expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: i64 = server.says("SELECT count(*) FROM findings WHERE NOT accepted").trim().parse().expect("a number");
    let kinds: i64 = server
        .says("SELECT count(*) FROM (SELECT DISTINCT \"check\", severity FROM findings WHERE NOT accepted)")
        .trim()
        .parse()
        .expect("a number");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{kinds} {all}\n"));
}

/// What psql shows of the fixture, pinned: the tables, the columns of one, and answers of every type.
#[test]
fn the_wire_is_pinned() {
    let folder = verified_flights();
    let server = Server::start(&folder.path().join("gapless-report"));
    let shown = |statement: &str| {
        let output = server.client(&["-c", statement], &[]);
        assert!(output.status.success(), "{statement}\n{}", String::from_utf8_lossy(&output.stderr));
        format!("gapless=> {statement}\n{}", String::from_utf8(output.stdout).expect("UTF-8"))
    };
    let statements = [
        "\\dt",
        "\\dv queries.*",
        "\\d gaps",
        "SELECT * FROM queries.collect_again",
        "SELECT \"check\", severity, accepted, rows, from_time, from_sequence, key FROM findings ORDER BY \"check\", key, from_sequence LIMIT 12",
        "SELECT share, lift, p_bound FROM diagnoses ORDER BY 1, 2, 3 LIMIT 3",
    ];
    // Versions of psql draw the same rows; only what is before the first statement differs.
    insta::assert_snapshot!("wire_psql", statements.map(shown).join("\n"));
}

#[test]
fn runs_come_and_go_without_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    assert_eq!(server.says("SELECT count(*) FROM runs"), "0\n");
    assert_eq!(server.says("SELECT count(*) FROM queries.streams"), "0\n");
    assert!(server.says("\\d findings").contains("run|text|"));
    let full = Report::new();
    copy(full.path(), directory.path());
    assert_eq!(server.says("SELECT run FROM runs ORDER BY run"), "a\nb\n");
    assert_eq!(server.says("SELECT DISTINCT stream FROM queries.streams ORDER BY stream"), "orders\nweather\n");
    fs::rename(directory.path().join("run=a"), directory.path().join(".gone")).expect("moved");
    assert_eq!(server.says("SELECT run FROM runs ORDER BY run"), "b\n");
    // A file that cannot be read stands in the way of its own table only, and not of listing it.
    fs::write(directory.path().join("run=b/gaps.parquet"), "not Parquet").expect("a file");
    assert_eq!(server.says("SELECT count(*) FROM findings"), "13\n");
    let (code, words) = server.refuses("SELECT * FROM gaps");
    assert_eq!(code, "58030", "{words}");
    assert!(words.contains("`gaps` of run `b`"), "{words}");
    assert!(server.says("\\d gaps").contains("from_time|"));
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'report' AND table_name = ";
    assert_eq!(server.says(&format!("{columns}'gaps'")), "12\n");
    assert_eq!(server.says(&format!("{columns}'findings'")), "23\n");
    fs::remove_dir_all(directory.path()).expect("removed");
    let (code, words) = server.refuses("SELECT * FROM runs");
    assert_eq!(code, "58030", "{words}");
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a listing").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).expect("a directory");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[test]
fn nothing_is_written_and_no_file_is_read() {
    let report = Report::new();
    let secret = report.path().join("secret.csv");
    fs::write(&secret, "word\nhushhush\n").expect("a file");
    let parquet = report.path().join("run=a/findings.parquet");
    let server = Server::start(report.path());
    let (secret, parquet) = (secret.display(), parquet.display());
    let before = listing(report.path());
    let statements = [
        "CREATE TABLE t (a int)".to_owned(),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "CREATE SCHEMA s".to_owned(),
        "CREATE DATABASE d".to_owned(),
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{secret}'"),
        "INSERT INTO findings (run) VALUES ('x')".to_owned(),
        "WITH x AS (SELECT 1) INSERT INTO findings (run) SELECT 'x'".to_owned(),
        "UPDATE findings SET run = 'x'".to_owned(),
        "DELETE FROM findings".to_owned(),
        "TRUNCATE findings".to_owned(),
        "DROP TABLE findings".to_owned(),
        "DROP SCHEMA report CASCADE".to_owned(),
        "ALTER TABLE findings ADD COLUMN x int".to_owned(),
        "SELECT 1 INTO t".to_owned(),
        "EXPLAIN ANALYZE INSERT INTO findings (run) VALUES ('x')".to_owned(),
        "EXPLAIN DELETE FROM findings".to_owned(),
        "PREPARE p AS INSERT INTO findings (run) VALUES ('x')".to_owned(),
        "GRANT ALL ON findings TO tester".to_owned(),
        "VACUUM".to_owned(),
        "DO 'x'".to_owned(),
        "CALL f()".to_owned(),
        "LOAD 'x'".to_owned(),
        format!("COPY findings TO '{secret}'"),
        format!("COPY findings FROM '{secret}'"),
        "COPY (SELECT 1) TO STDOUT".to_owned(),
        "COPY findings TO PROGRAM 'touch /tmp/x'".to_owned(),
        "LISTEN x".to_owned(),
        "SET datafusion.catalog.default_schema = 'queries'".to_owned(),
        "SET datafusion.runtime.memory_limit = '100G'".to_owned(),
        "SET datafusion.runtime.temp_directory = '/tmp'".to_owned(),
        "SET ROLE postgres".to_owned(),
        "DECLARE c CURSOR FOR INSERT INTO findings (run) VALUES ('x')".to_owned(),
        format!("SELECT * FROM '{secret}'"),
        format!("SELECT * FROM \"{secret}\""),
        format!("SELECT * FROM '{parquet}'"),
        format!("SELECT * FROM \"file://{parquet}\""),
        format!("SELECT * FROM read_csv('{secret}')"),
        format!("SELECT * FROM read_parquet('{parquet}')"),
        format!("SELECT * FROM parquet_metadata('{parquet}')"),
        format!("SELECT pg_read_file('{secret}')"),
        format!("SELECT pg_read_binary_file('{secret}')"),
        format!("SELECT * FROM pg_ls_dir('{}')", report.path().display()),
        format!("SELECT lo_import('{secret}')"),
        "SELECT getenv('HOME')".to_owned(),
        "SELECT dblink('host=127.0.0.1', 'SELECT 1')".to_owned(),
        "SELECT set_config('datafusion.runtime.memory_limit', '100G', false)".to_owned(),
    ];
    for statement in statements {
        let (code, words) = server.refuses(&statement);
        assert!(["25006", "0A000", "42601", "42P01", "42883", "42000"].contains(&code.as_str()), "{statement}\n{code} {words}");
        assert!(!words.contains("hushhush"), "{statement}\n{words}");
    }
    let copied = server.client(&["-c", &format!("\\copy findings FROM '{secret}'")], &[]);
    assert!(!copied.status.success());
    assert_eq!(listing(report.path()), before);
    assert_eq!(server.says("SELECT count(*) FROM findings"), "14\n");
    assert_eq!(server.says("SHOW transaction_read_only"), "on\n");
}

fn listing(directory: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).expect("a listing").flatten() {
        let path = entry.path();
        all.push((path.display().to_string(), entry.metadata().expect("metadata").len()));
        if path.is_dir() {
            all.extend(listing(&path));
        }
    }
    all.sort();
    all
}

#[test]
fn errors_have_the_codes_that_clients_know() {
    let report = Report::new();
    let server = Server::start(report.path());
    for (statement, code, words) in [
        ("SELEC 1", "42601", "cannot be parsed"),
        ("SELECT * FROM finding", "42P01", "there is no table `finding`; the nearest: `findings`"),
        ("SELECT strem FROM findings", "42703", "there is no column `strem`; the nearest: `stream`"),
        ("SELECT nosuch(1)", "42883", "nosuch"),
        ("SELECT 1/0 FROM findings", "22012", ""),
        ("SELECT CAST(message AS int) FROM findings WHERE check = 'amount_not_negative'", "22P02", "amount"),
        ("SHOW nosuch", "42704", "nosuch"),
        ("SET nosuch = 1", "42704", "nosuch"),
        ("SET timezone = 'Europe/Berlin'", "22023", "UTC"),
        ("SET client_encoding = 'LATIN1'", "22023", "UTF8"),
        ("FETCH NEXT FROM nosuch", "34000", "nosuch"),
    ] {
        let (found, said) = server.refuses(statement);
        assert_eq!(found, code, "{statement}\n{said}");
        assert!(said.contains(words), "{statement}\n{said}");
    }
    // What drivers say around their questions is taken.
    for statement in [
        "BEGIN READ ONLY; SELECT 1; COMMIT",
        "BEGIN; SAVEPOINT s; ROLLBACK TO s; RELEASE s; ROLLBACK",
        "SET extra_float_digits = 3",
        "SET client_min_messages TO warning",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET TIME ZONE 'UTC'",
        "SET statement_timeout = '5s'",
        "RESET ALL",
        "DISCARD ALL",
        "DEALLOCATE ALL",
        "UNLISTEN *",
        "CLOSE ALL",
        "SHOW server_version",
        "SHOW search_path",
        "SHOW TABLES",
        "SHOW COLUMNS FROM findings",
        "DESCRIBE findings",
        "EXPLAIN SELECT * FROM findings",
        "VALUES (1), (2)",
        "WITH x AS (SELECT 1 AS a) SELECT * FROM x",
        "BEGIN; DECLARE c CURSOR FOR SELECT run FROM findings ORDER BY run; FETCH 2 FROM c; FETCH ALL FROM c; CLOSE c; COMMIT",
    ] {
        server.says(statement);
    }
    // A failed transaction says so until it is ended.
    let mut shell = Command::new(psql());
    shell.args(["-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", &server.port(), "-d", "gapless", "-v", "VERBOSITY=verbose"]);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql starts");
    shell.stdin.take().expect("stdin").write_all(b"BEGIN;\nSELECT nosuch;\nSELECT 1;\nROLLBACK;\nSELECT 2;\n").expect("input");
    let output = shell.wait_with_output().expect("psql ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2\n");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("42703") && complaint.contains("25P02"), "{complaint}");
}

#[test]
fn a_runaway_statement_ends_and_the_server_stays() {
    let report = Report::new();
    let server = Server::start_with(report.path(), &["--timeout", "3s", "--memory", "64MiB"], &[]);
    let endless = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let started = Instant::now();
    assert_eq!(server.refuses(endless).0, "57014");
    assert_eq!(server.refuses("SELECT count(*) FROM generate_series(1, 1000000000000)").0, "57014");
    assert!(started.elapsed() < Duration::from_secs(60));
    // The client's own limit, below that of the server.
    let own = server.client(&["-v", "VERBOSITY=verbose", "-c", "SET statement_timeout = '200ms'", "-c", endless], &[]);
    let complaint = String::from_utf8_lossy(&own.stderr).into_owned();
    assert!(complaint.contains("57014") && complaint.contains("after 200 ms"), "{complaint}");
    for hungry in [
        "SELECT count(*) FROM (SELECT DISTINCT value, value + 1 FROM generate_series(1, 100000000))",
        "SELECT array_agg(value) FROM generate_series(1, 100000000)",
        "SELECT repeat('x', 2000000000)",
        "SELECT max(length(repeat(check, 100000000))) FROM findings",
        "SELECT lpad('x', 2000000000, 'y')",
        "SELECT array_length(range(1, 1000000000000))",
        "SELECT * FROM generate_series(1, 100000000) a LEFT JOIN generate_series(1, 100000000) b ON a.value < b.value",
    ] {
        let (code, words) = server.refuses(hungry);
        assert!(code == "53200" || code == "57014", "{hungry}\n{code} {words}");
    }
    assert_eq!(server.says("SELECT repeat('ab', 3), lpad('7', 3, '0')"), "ababab|007\n");
    assert_eq!(server.says("SELECT count(*) FROM findings"), "14\n");
    // More brackets than anybody closes.
    let deep = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(server.refuses(&deep).0, "42601");
    assert_eq!(server.says("SELECT count(*) FROM findings"), "14\n");
    // None of it is a defect to be reported.
    assert_eq!(server.signal("TERM").1, "");
}

#[test]
fn a_client_can_cancel_and_the_number_of_clients_is_bounded() {
    let report = Report::new();
    let server = Server::start_with(report.path(), &["--max-connections", "1"], &[]);
    let mut busy = Command::new(psql());
    busy.args(["-X", "-h", "127.0.0.1", "-p", &server.port(), "-d", "gapless", "-v", "VERBOSITY=verbose"]);
    // Rows are on the way when it is cancelled.
    busy.args(["-c", "SELECT * FROM generate_series(1, 1000000000000)"]);
    let mut busy = busy.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("psql starts");
    std::thread::sleep(Duration::from_secs(1));
    let refused = server.client(&["-c", "SELECT 1"], &[]);
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(complaint.contains("all 1 connections are taken"), "{complaint}");
    // What Ctrl-C does in psql: a request to cancel, over a connection of its own, though all places are taken.
    let started = Instant::now();
    Command::new("kill").args(["-s", "INT", &busy.id().to_string()]).status().expect("kill runs");
    let mut complaint = String::new();
    busy.stderr.take().expect("stderr").read_to_string(&mut complaint).expect("stderr");
    busy.wait().expect("an end");
    assert!(complaint.contains("57014"), "{complaint}");
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(server.says("SELECT 1"), "1\n");
}

#[test]
fn a_signal_ends_it_cleanly_and_a_taken_port_is_an_error() {
    let report = Report::new();
    for signal in ["INT", "TERM"] {
        let server = Server::start(report.path());
        let mut idle = Connection::open(server.address);
        idle.log_in();
        let (code, rest, took) = server.signal(signal);
        assert_eq!((code, rest.as_str()), (Some(0), ""));
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert!(idle.rest().contains("57P01"));
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let complaint = complains(report.path(), &["--listen", &address], &[]);
    assert!(complaint.contains(&address) && complaint.contains("choose another port"), "{complaint}");
    let missing = complains(&report.path().join("nowhere"), &[], &[]);
    assert!(missing.contains("there is no report directory"), "{missing}");
}

#[test]
fn other_machines_need_a_password_and_a_certificate() {
    let report = Report::new();
    let files = certificates();
    let path = |name: &str| files.path().join(name).display().to_string();
    let (cert, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
    let tls = ["--tls-cert", cert.as_str(), "--tls-key", key.as_str()];
    let open = ["--listen", "0.0.0.0:0"];
    let password = [("GAPLESS_SERVE_PASSWORD", "open sesame")];
    assert!(complains(report.path(), &open, &[]).contains("neither a password nor a certificate"));
    assert!(complains(report.path(), &open, &password).contains("there is no certificate"));
    assert!(complains(report.path(), &[&open[..], &tls[..]].concat(), &[]).contains("there is no password"));
    assert!(complains(report.path(), &["--listen", "[::]:0"], &[]).contains("neither"));
    assert!(complains(report.path(), &[], &[("GAPLESS_SERVE_PASSWORD", "")]).contains("empty"));
    assert!(complains(report.path(), &["--password-file", "nowhere"], &[]).contains("nowhere"));
    assert!(complains(report.path(), &["--tls-cert", &ca, "--tls-key", &key], &[]).contains("TLS cannot be set up"));
    assert!(complains(report.path(), &["--tls-cert", &key, "--tls-key", &key], &[]).contains("no certificate"));
    let half = command(report.path(), &["--tls-cert", &cert], &[]).output().expect("gapless runs");
    assert_eq!(half.status.code(), Some(2));

    let server = Server::start_with(report.path(), &[&open[..], &tls[..]].concat(), &password);
    let ask = |mode: &str, word: &str, more: &str| {
        let at = format!(
            "host=localhost hostaddr=127.0.0.1 port={} dbname=gapless user=any sslmode={mode} sslrootcert={ca} {more}",
            server.port()
        );
        let mut client = Command::new(psql());
        client
            .args(["-X", "-A", "-t", "-w", "-d", &at, "-c", "SELECT count(*) FROM findings"])
            .env("PGPASSWORD", word)
            .env("LC_ALL", "C.UTF-8");
        let output = client.output().expect("psql runs");
        (output.status.success(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    assert_eq!(ask("verify-full", "open sesame", ""), (true, "14\n".to_owned()));
    assert_eq!(ask("verify-full", "open sesame", "channel_binding=require"), (true, "14\n".to_owned()));
    assert_eq!(ask("require", "open sesame", "channel_binding=disable"), (true, "14\n".to_owned()));
    let (ok, said) = ask("verify-full", "open says me", "");
    assert!(!ok && said.contains("password authentication failed"), "{said}");
    let (ok, said) = ask("disable", "open sesame", "");
    assert!(!ok && said.contains("encrypted connections only"), "{said}");
    let (ok, said) = ask("verify-full", "", "");
    assert!(!ok && said.contains("password"), "{said}");
    // The password is never asked for in the clear: the server offers SCRAM and nothing else.
    let local = Server::start_with(report.path(), &["--password-file", &path("password")], &[]);
    let mut connection = Connection::open(local.address);
    connection.start();
    let offer = connection.read_some();
    assert!(offer.starts_with(b"R") && find(&offer, b"SCRAM-SHA-256"), "{offer:?}");
    // After a wrong answer, and without one, nothing more is taken.
    let mut connection = Connection::open(local.address);
    connection.start();
    connection.read_some();
    connection.send(b'Q', b"SELECT count(*) FROM findings\0");
    assert!(!connection.rest().contains("14"));
    let with = local.client(&["-A", "-t", "-c", "SELECT 1"], &[("PGPASSWORD", "from the file")]);
    assert_eq!(String::from_utf8_lossy(&with.stdout), "1\n", "{}", String::from_utf8_lossy(&with.stderr));
    assert!(!local.client(&["-w", "-c", "SELECT 1"], &[]).status.success());
    // The password is nowhere that others can see.
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", local.process.id())).unwrap_or_default();
    assert!(!arguments.contains("from the file"));
    let (_, rest, _) = server.signal("TERM");
    assert!(rest.contains("a wrong password from 127.0.0.1") && !rest.contains("sesame"), "{rest}");
}

/// An authority and a certificate for localhost, made on the fly.
fn certificates() -> tempfile::TempDir {
    psql(); // openssl comes with it
    let files = tempfile::tempdir().expect("a directory");
    fs::write(files.path().join("password"), "from the file\nsecond line\n").expect("a file");
    fs::write(files.path().join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").expect("a file");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(files.path()).output().expect("openssl runs");
        assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let new = ["-newkey", "rsa:2048", "-nodes", "-sha256"];
    openssl(&[&["req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"], &new[..]].concat());
    openssl(&[&["req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"], &new[..]].concat());
    let sign =
        ["x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"];
    openssl(&[&sign[..], &["-sha256", "-out", "server.pem"]].concat());
    files
}

fn find(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A client that says what it likes.
struct Connection {
    stream: TcpStream,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, address.port())).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        Self { stream }
    }

    fn raw(&mut self, bytes: &[u8]) {
        // The server may have gone away in disgust.
        let _ = self.stream.write_all(bytes);
    }

    fn start(&mut self) {
        let body = b"\0\x03\0\0user\0tester\0database\0gapless\0\0";
        let mut packet = u32::try_from(body.len() + 4).expect("short").to_be_bytes().to_vec();
        packet.extend(body);
        self.raw(&packet);
    }

    fn log_in(&mut self) {
        self.start();
        let mut seen = Vec::new();
        while !seen.ends_with(b"Z\0\0\0\x05I") {
            seen.extend(self.read_some());
        }
    }

    /// Ends what is said, unless the server has hung up already.
    fn say_no_more(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        let mut packet = vec![kind];
        packet.extend(u32::try_from(body.len() + 4).expect("short").to_be_bytes());
        packet.extend(body);
        self.raw(&packet);
    }

    fn read_some(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 65_536];
        let count = self.stream.read(&mut bytes).expect("bytes in time");
        assert!(count > 0, "the server hung up");
        bytes.truncate(count);
        bytes
    }

    /// All that comes until the server hangs up.
    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(source) => assert_eq!(source.kind(), std::io::ErrorKind::ConnectionReset, "the server hangs up: {source}"),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[test]
fn broken_and_greedy_messages_end_their_own_connection_only() {
    let report = Report::new();
    let server = Server::start(report.path());
    let raw = |bytes: &[u8]| {
        let mut connection = Connection::open(server.address);
        connection.raw(bytes);
        connection.say_no_more();
        connection.rest();
    };
    raw(b"");
    raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    raw(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03");
    raw(&[0xff; 4096]);
    raw(&[0; 4096]);
    raw(b"\0\0\0\x04");
    raw(b"\0\0\0\x08\0\x02\0\0");
    raw(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x01"); // a request to cancel nothing
    // A packet that says it is huge is refused before it is there.
    let mut huge = Connection::open(server.address);
    huge.raw(b"\x7f\xff\xff\xff\0\x03\0\0");
    huge.rest();
    let after = |kind: u8, body: &[u8]| {
        let mut connection = Connection::open(server.address);
        connection.log_in();
        connection.send(kind, body);
        connection.say_no_more();
        connection.rest()
    };
    let mut greedy = Connection::open(server.address);
    greedy.log_in();
    greedy.raw(b"Q\x3f\xff\xff\xf0SELECT 1");
    assert!(greedy.rest().contains("08P01"));
    for kind in 0..=255_u8 {
        after(kind, b"");
        after(kind, b"\0\xff\xff\xff\xff\0\0");
    }
    // Lengths that are shorter than themselves.
    for length in 0..4_u8 {
        let mut connection = Connection::open(server.address);
        connection.log_in();
        connection.raw(&[b'Q', 0, 0, 0, length, 0, 0, 0, 0]);
        connection.say_no_more();
        connection.rest();
    }
    // Two formats for one parameter, three for two columns, more parameters than there are.
    for bind in [
        &b"\0s\0\0\x02\0\0\0\0\0\x01\0\0\0\x011\0\0"[..],
        &b"\0s\0\0\0\0\x01\0\0\0\x011\0\x03\0\0\0\0\0\0"[..],
        &b"\0s\0\0\0\0\x02\0\0\0\x011\0\0\0\x011\0\0"[..],
        &b"\0s\0\0\0\xff\xff"[..],
    ] {
        let mut connection = Connection::open(server.address);
        connection.log_in();
        connection.send(b'P', b"s\0SELECT run, stream FROM findings WHERE rows = $1\0\0\0");
        connection.send(b'B', bind);
        connection.send(b'D', b"P\0");
        connection.send(b'E', b"\0\0\0\0\0");
        connection.send(b'S', b"");
        connection.send(b'X', b"");
        let said = connection.rest();
        assert!(said.contains("08P01"), "{said}");
    }
    // More prepared statements than anybody needs.
    let mut hoarder = Connection::open(server.address);
    hoarder.log_in();
    for number in 0..1_100 {
        hoarder.send(b'P', format!("s{number}\0SELECT 1\0\0\0").as_bytes());
    }
    hoarder.send(b'S', b"");
    assert!(hoarder.rest().contains("53400"));
    assert_eq!(server.says("SELECT count(*) FROM findings"), "14\n");
    // None of it is a defect to be reported.
    assert_eq!(server.signal("TERM").1, "");
}
