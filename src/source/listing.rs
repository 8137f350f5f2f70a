//! From a path, a glob or a directory to a list of files of one format.

use std::path::Path;
use std::sync::Arc;

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::domain::Side;
use crate::error::{Error, Result};
use crate::job::{Format, SideSpec};

/// One file of a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Its path as a person writes it.
    pub path: String,
    /// Its path below the side's root, with slashes.
    pub relative: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last modified, as the listing said.
    pub modified: chrono::DateTime<chrono::Utc>,
}

/// The files of a side.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) store_url: ObjectStoreUrl,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) objects: Vec<ObjectMeta>,
    pub(super) files: Vec<FileFacts>,
    pub(super) format: Format,
    pub(super) compression: Compression,
    /// Names of Hive partition columns, and for each file their values.
    pub(super) partitions: Vec<(String, Vec<Option<String>>)>,
}

/// The compression around a text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Lists the files of a side; hidden ones (`.` and `_` in front) are passed over.
pub(super) async fn list(context: &SessionContext, side: Side, spec: &SideSpec) -> Result<Listing> {
    let shown = spec.path.clone();
    let is_url = shown.contains("://");
    let exists = Path::new(&shown).exists();
    let is_glob = !exists && shown.contains(['*', '?', '[']);
    if !is_url && !exists && !is_glob {
        return Err(Error::PathMissing { side: side.to_string(), path: shown });
    }
    if is_url && !shown.starts_with("file://") {
        return Err(Error::NoSource { side: side.to_string(), path: crate::error::redacted(&shown) });
    }
    let failed = |source| Error::Url { side: side.to_string(), path: spec.path.clone(), source };
    // A name that exists is taken as it stands, even with characters of a glob in it.
    let url = if exists && !is_url { existing(Path::new(&shown)) } else { None };
    let url = match url {
        Some(url) => ListingTableUrl::try_new(url, None).map_err(failed)?,
        None => ListingTableUrl::parse(&shown).map_err(failed)?,
    };
    let state = context.state();
    let store = context.runtime_env().object_store(&url).map_err(failed)?;
    let mut all: Vec<ObjectMeta> = if url.is_collection() || url.get_glob().is_some() {
        // The suffix is judged here, file by file, so that a stray one is an error and not silently left out.
        url.list_all_files(&state, store.as_ref(), "").await.map_err(failed)?.try_collect().await.map_err(failed)?
    } else {
        let meta = store.head(url.prefix()).await.map_err(|e| failed(e.into()))?;
        vec![meta]
    };
    let total = all.len();
    let single_file = !url.is_collection() && url.get_glob().is_none();
    let below = |meta: &ObjectMeta| -> String {
        if single_file {
            return meta.location.filename().unwrap_or_default().to_string();
        }
        url.strip_prefix(&meta.location).map_or_else(|| meta.location.to_string(), |parts| parts.collect::<Vec<_>>().join("/"))
    };
    if !single_file {
        all.retain(|meta| !below(meta).split('/').any(|part| part.starts_with(['.', '_'])));
    }
    all.sort_by(|a, b| a.location.cmp(&b.location));
    if all.is_empty() {
        return Err(Error::NoFiles { side: side.to_string(), path: shown, ignored: total });
    }
    let files: Vec<FileFacts> = all
        .iter()
        .map(|meta| FileFacts { path: path_of(&url, meta), relative: below(meta), bytes: meta.size, modified: meta.last_modified })
        .collect();
    if let Some(empty) = files.iter().find(|file| file.bytes == 0) {
        return Err(Error::EmptyFile { side: side.to_string(), file: empty.path.clone() });
    }
    let (format, compression) = one_format(side, spec, &files)?;
    let partitions = if single_file { Vec::new() } else { partitions(side, &files)? };
    Ok(Listing { store_url: url.object_store(), store, objects: all, files, format, compression, partitions })
}

/// The file URL of a path that exists; a directory's ends in a slash.
fn existing(path: &Path) -> Option<url::Url> {
    let full = path.canonicalize().ok()?;
    if full.is_dir() { url::Url::from_directory_path(full).ok() } else { url::Url::from_file_path(full).ok() }
}

/// What a person would type to see the file.
fn path_of(url: &ListingTableUrl, meta: &ObjectMeta) -> String {
    if url.scheme() == "file" { format!("/{}", meta.location) } else { format!("{}{}", url.object_store().as_str(), meta.location) }
}

fn one_format(side: Side, spec: &SideSpec, files: &[FileFacts]) -> Result<(Format, Compression)> {
    let mut found: Option<(Format, Compression, &str)> = None;
    for file in files {
        let (stem, compression) = match file.path.rsplit_once('.') {
            Some((stem, "gz" | "gzip")) => (stem, Compression::Gzip),
            Some((stem, "zst" | "zstd")) => (stem, Compression::Zstd),
            _ => (file.path.as_str(), Compression::None),
        };
        let suffix = stem.rsplit_once('.').map(|(_, suffix)| suffix.to_lowercase());
        let format = match (spec.format, suffix.as_deref().and_then(Format::parse)) {
            (Some(said), _) => said,
            (None, Some(format)) => format,
            (None, None) => return Err(Error::FormatUnknown { side: side.to_string(), file: file.path.clone() }),
        };
        let compression =
            if matches!(format, Format::Csv | Format::JsonLines | Format::JsonArray) { compression } else { Compression::None };
        match found {
            None => found = Some((format, compression, &file.path)),
            Some((first, _, _)) if first == format && found.is_some_and(|(_, c, _)| c == compression) => {}
            Some((first, first_compression, path)) => {
                let shown = |format: Format, compression: Compression| match compression {
                    Compression::None => format.as_str().to_string(),
                    Compression::Gzip => format!("{} (gzip)", format.as_str()),
                    Compression::Zstd => format!("{} (zstd)", format.as_str()),
                };
                return Err(Error::FormatsMixed {
                    side: side.to_string(),
                    path: spec.path.clone(),
                    first: path.to_string(),
                    first_format: shown(first, first_compression),
                    second: file.path.clone(),
                    second_format: shown(format, compression),
                });
            }
        }
    }
    let (format, compression, _) = found.ok_or_else(|| Error::NoFiles { side: side.to_string(), path: spec.path.clone(), ignored: 0 })?;
    Ok((format, compression))
}

/// The Hive partition columns: `day=2024-05-06/hour=02/part.parquet`.
fn partitions(side: Side, files: &[FileFacts]) -> Result<Vec<(String, Vec<Option<String>>)>> {
    let pairs = |file: &FileFacts| -> Vec<(String, String)> {
        let directories = file.relative.rsplit_once('/').map_or("", |(directories, _)| directories);
        directories.split('/').filter_map(|part| part.split_once('=')).map(|(name, value)| (unescape(name), unescape(value))).collect()
    };
    let Some(first) = files.first() else { return Ok(Vec::new()) };
    let mut columns: Vec<(String, Vec<Option<String>>)> =
        pairs(first).into_iter().map(|(name, _)| (name, Vec::with_capacity(files.len()))).collect();
    for file in files {
        let found = pairs(file);
        if found.len() != columns.len() || found.iter().zip(&columns).any(|((name, _), (column, _))| name != column) {
            return Err(Error::SchemasDisagree {
                side: side.to_string(),
                first: first.path.clone(),
                second: file.path.clone(),
                difference: "their partition directories differ".to_string(),
            });
        }
        for ((_, values), (_, value)) in columns.iter_mut().zip(found) {
            values.push((value != "__HIVE_DEFAULT_PARTITION__").then_some(value));
        }
    }
    Ok(columns)
}

/// Undoes the percent escapes of partition directories.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let raw = text.as_bytes();
    let mut at = 0;
    while at < raw.len() {
        let hex = (raw[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                at += 3;
            }
            None => {
                bytes.push(raw[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_string())
}
