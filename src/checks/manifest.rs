//! Lists of file digests as md5sum, sha256sum and b3sum write them, held against the files of a side.

use std::io::Read;
use std::path::Path;

use sha2::Digest as _;

use super::digests::hex;
use crate::domain::Side;
use crate::error::{Error, Result};
use crate::job::{DigestAlgorithm, ManifestSpec};
use crate::source::{FileFacts, Opened};

/// What a manifest says against a file, or a file against a manifest.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the relation `files`")]
pub struct ManifestFact {
    pub kind: &'static str,
    pub side: Option<Side>,
    pub file: String,
    pub algorithm: Option<DigestAlgorithm>,
    pub listed: Option<String>,
    pub found: Option<String>,
}

struct Entry {
    digest: String,
    name: String,
    algorithm: Option<DigestAlgorithm>,
}

/// Checks the files of the sides against the manifests.
///
/// # Errors
/// A manifest that cannot be read or names no file of any side, or a file that cannot be read.
pub fn check_manifests(manifests: &[ManifestSpec], sides: &[Opened]) -> Result<Vec<ManifestFact>> {
    let mut facts = Vec::new();
    for manifest in manifests {
        let entries = read(manifest)?;
        let base = Path::new(&manifest.path).parent().and_then(|base| base.canonicalize().ok());
        let named = |side: &Opened, entry: &Entry| -> Option<FileFacts> {
            let absolute = base.as_ref().map(|base| base.join(&entry.name)).and_then(|path| path.canonicalize().ok());
            side.files
                .iter()
                .find(|file| absolute.as_ref().is_some_and(|path| path.display().to_string() == file.path))
                .or_else(|| side.files.iter().find(|file| file.relative == entry.name || file.path == entry.name))
                .cloned()
        };
        let mut spoken_of: Vec<&Opened> = sides
            .iter()
            .filter(|side| manifest.side.map_or_else(|| entries.iter().any(|e| named(side, e).is_some()), |s| s == side.side))
            .collect();
        if spoken_of.is_empty() {
            return Err(Error::Manifest {
                path: manifest.path.clone(),
                problem: "names no file of any side (names are taken relative to the manifest, or to the side's directory)".to_string(),
            });
        }
        spoken_of.dedup_by_key(|side| side.side);
        for side in &spoken_of {
            for file in &side.files {
                let Some(entry) = entries.iter().find(|entry| named(side, entry).is_some_and(|found| found.path == file.path)) else {
                    facts.push(ManifestFact {
                        kind: "unlisted",
                        side: Some(side.side),
                        file: file.relative.clone(),
                        algorithm: None,
                        listed: None,
                        found: None,
                    });
                    continue;
                };
                if let Some(fact) = compare(side.side, file, entry)? {
                    facts.push(fact);
                }
            }
        }
        for entry in &entries {
            if !spoken_of.iter().any(|side| named(side, entry).is_some()) {
                facts.push(ManifestFact {
                    kind: "absent",
                    side: manifest.side.or_else(|| spoken_of.first().map(|side| side.side)),
                    file: entry.name.clone(),
                    algorithm: entry.algorithm,
                    listed: Some(entry.digest.clone()),
                    found: None,
                });
            }
        }
    }
    facts.sort_by(|a, b| (a.side, &a.file, a.kind).cmp(&(b.side, &b.file, b.kind)));
    Ok(facts)
}

fn read(manifest: &ManifestSpec) -> Result<Vec<Entry>> {
    let wrong = |problem: String| Error::Manifest { path: manifest.path.clone(), problem };
    let text = std::fs::read_to_string(&manifest.path).map_err(|e| wrong(format!("could not be read: {e}")))?;
    let is_blake3 = Path::new(&manifest.path).file_name().is_some_and(|name| {
        let name = name.to_string_lossy().to_lowercase();
        name.contains("b3") || name.contains("blake3")
    });
    let mut entries = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let malformed =
            || wrong(format!("is not a list of digests at line {}: '{}'", number + 1, line.chars().take(80).collect::<String>()));
        // BSD tags: SHA256 (name) = digest.
        let (digest, name) = match line.split_once(" (").and_then(|(_, rest)| rest.rsplit_once(") = ")) {
            Some((name, digest)) => (digest, name),
            None => line.split_once(' ').map(|(digest, rest)| (digest, rest.trim_start_matches([' ', '*']))).ok_or_else(malformed)?,
        };
        let digest = digest.trim_start_matches('\\').to_lowercase();
        let algorithm = match digest.len() {
            32 => Some(DigestAlgorithm::Md5),
            64 if is_blake3 || line.starts_with("BLAKE3") => Some(DigestAlgorithm::Blake3),
            64 => None,
            _ => return Err(malformed()),
        };
        if !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) || name.is_empty() {
            return Err(malformed());
        }
        let name = name.strip_prefix("./").unwrap_or(name).to_string();
        entries.push(Entry { digest, name, algorithm });
    }
    if entries.is_empty() {
        return Err(wrong("lists no file".to_string()));
    }
    Ok(entries)
}

/// A fact where the digests differ. 64 hexadecimal digits may be SHA-256 or BLAKE3: either may bear the list out.
fn compare(side: Side, file: &FileFacts, entry: &Entry) -> Result<Option<ManifestFact>> {
    let candidates: &[DigestAlgorithm] = match entry.algorithm {
        Some(DigestAlgorithm::Md5) => &[DigestAlgorithm::Md5],
        Some(DigestAlgorithm::Blake3) => &[DigestAlgorithm::Blake3],
        _ => &[DigestAlgorithm::Sha256, DigestAlgorithm::Blake3],
    };
    let mut first = None;
    for &algorithm in candidates {
        let found = file_digest(algorithm, file)?;
        if found == entry.digest {
            return Ok(None);
        }
        first = first.or(Some((algorithm, found)));
    }
    Ok(first.map(|(algorithm, found)| ManifestFact {
        kind: "differs",
        side: Some(side),
        file: file.relative.clone(),
        algorithm: Some(algorithm),
        listed: Some(entry.digest.clone()),
        found: Some(found),
    }))
}

fn file_digest(algorithm: DigestAlgorithm, file: &FileFacts) -> Result<String> {
    let failed = |e: std::io::Error| Error::ReadFailed { side: file.path.clone(), problem: e.to_string() };
    let mut reader = std::fs::File::open(&file.path).map_err(failed)?;
    let mut buffer = vec![0_u8; 1 << 20];
    let (mut sha, mut md5, mut b3) = (sha2::Sha256::new(), md5::Md5::new(), blake3::Hasher::new());
    loop {
        let count = reader.read(&mut buffer).map_err(failed)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
        match algorithm {
            DigestAlgorithm::Sha256 => sha.update(chunk),
            DigestAlgorithm::Md5 => md5.update(chunk),
            DigestAlgorithm::Blake3 => {
                b3.update(chunk);
            }
        }
    }
    Ok(match algorithm {
        DigestAlgorithm::Sha256 => hex(&sha.finalize()),
        DigestAlgorithm::Md5 => hex(&md5.finalize()),
        DigestAlgorithm::Blake3 => b3.finalize().to_hex().to_string(),
    })
}
