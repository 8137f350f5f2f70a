//! The floors of `src/lib.rs`, held: a file imports its own folder and lower floors only.

use std::path::{Path, PathBuf};

const FLOORS: [(&str, u8); 14] = [
    ("main", 8),
    ("lib", 8),
    ("cli", 7),
    ("verify", 6),
    ("report", 5),
    ("gate", 5),
    ("console", 5),
    ("checks", 4),
    ("staging", 3),
    ("findings", 3),
    ("source", 2),
    ("job", 1),
    ("domain", 0),
    ("error", 0),
];

fn floor(module: &str) -> Option<u8> {
    if module == "progress" {
        return Some(0);
    }
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            let module = relative.split('/').next().unwrap().trim_end_matches(".rs").to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            (module, path, text)
        })
        .collect()
}

/// The first path segments after `crate::` in a file.
fn imports(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_module_has_a_floor() {
    for (module, path, _) in sources() {
        assert!(floor(&module).is_some(), "{} is on no floor", path.display());
    }
}

#[test]
fn imports_go_down() {
    for (module, path, text) in sources() {
        let own = floor(&module).unwrap();
        for name in imports(&text) {
            let Some(other) = floor(&name) else { continue };
            assert!(other < own || name == module, "{} (floor {own}) imports {name} (floor {other})", path.display());
        }
    }
}

#[test]
fn what_comes_after_findings_never_sees_the_data() {
    for (module, path, text) in sources() {
        if ["report", "gate", "console"].contains(&module.as_str()) {
            for name in imports(&text) {
                assert!(!["source", "staging", "checks"].contains(&name.as_str()), "{} imports {name}", path.display());
            }
        }
    }
}

#[test]
fn domain_imports_nothing_of_ours() {
    for (module, path, text) in sources() {
        if module == "domain" {
            for name in imports(&text) {
                assert!(name == "domain", "{} imports {name}", path.display());
            }
        }
    }
}

#[test]
fn there_is_no_sql_in_rust() {
    for (_, path, text) in sources() {
        // Tests may write SQL; the code that ships may not. Help texts show examples to users.
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in shipped.lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//") || path.ends_with("cli/mod.rs") || path.ends_with("cli/sql.rs") || path.ends_with("console/error.rs")
            {
                continue;
            }
            for word in ["\"SELECT ", "FROM differences", "FROM windows", "INSERT INTO"] {
                assert!(!code.contains(word), "{}:{} holds SQL", path.display(), number + 1);
            }
        }
    }
}
