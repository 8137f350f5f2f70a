//! What lies outside the test binary: the repository, and a Python that nobody here wrote.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Python of the tests. `tests/run` names it; a bare `cargo test` sets it up once.
pub(crate) fn python() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON
        .get_or_init(|| {
            if let Some(path) = std::env::var_os("GAPLESS_TEST_PYTHON") {
                return PathBuf::from(path);
            }
            let output = Command::new("bash").arg(repository().join("tests/python/setup")).output().expect("bash runs");
            assert!(output.status.success(), "tests/python/setup failed: {}", String::from_utf8_lossy(&output.stderr));
            PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_string())
        })
        .clone()
}

/// Runs a script of `tests/python` and returns what it prints.
pub(crate) fn run_python(script: &str, args: &[&std::ffi::OsStr]) -> String {
    let output = Command::new(python()).arg(repository().join("tests/python").join(script)).args(args).output().expect("python runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A headless Chromium, installed once where it is missing.
pub(crate) fn chromium() -> PathBuf {
    static CHROMIUM: OnceLock<PathBuf> = OnceLock::new();
    CHROMIUM
        .get_or_init(|| {
            if let Some(path) = std::env::var_os("GAPLESS_TEST_CHROMIUM") {
                return PathBuf::from(path);
            }
            let output = Command::new("bash").arg(repository().join("tests/chromium/setup")).output().expect("bash runs");
            assert!(output.status.success(), "tests/chromium/setup failed: {}", String::from_utf8_lossy(&output.stderr));
            PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_string())
        })
        .clone()
}

/// The psql client, installed once where it is missing.
#[cfg(feature = "serve")]
pub(crate) fn psql() -> PathBuf {
    static PSQL: OnceLock<PathBuf> = OnceLock::new();
    PSQL.get_or_init(|| {
        if let Some(path) = std::env::var_os("GAPLESS_TEST_PSQL") {
            return PathBuf::from(path);
        }
        let output = Command::new("bash").arg(repository().join("tests/psql/setup")).output().expect("bash runs");
        assert!(output.status.success(), "tests/psql/setup failed: {}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_string())
    })
    .clone()
}

/// Makes sure that the shells and the readers of manual pages are there.
pub(crate) fn shells() {
    static SHELLS: OnceLock<()> = OnceLock::new();
    SHELLS.get_or_init(|| {
        let output = Command::new("bash").arg(repository().join("tests/shells/setup")).output().expect("bash runs");
        assert!(output.status.success(), "tests/shells/setup failed: {}", String::from_utf8_lossy(&output.stderr));
    });
}
