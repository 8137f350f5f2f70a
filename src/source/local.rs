//! Local files as the engine reads them.
//!
//! Ranges are read by whoever asks for them, into memory that nobody filled before. The store beneath hands them to threads of their own and
//! fills their memory with zeros first, so that each byte is written twice, by another processor than the one that decodes it. A
//! reader has nothing to do but wait for what it asked for, and the kernel reads ahead.

use std::fmt::{Display, Formatter};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RenameOptions, Result,
};
use url::Url;

/// The local file system.
#[derive(Debug, Default)]
pub(crate) struct LocalFiles(LocalFileSystem);

impl LocalFiles {
    /// Makes an engine read local files so.
    pub(crate) fn register(runtime: &RuntimeEnv) {
        if let Ok(all) = Url::parse("file://") {
            runtime.register_object_store(&all, Arc::new(Self::default()));
        }
    }

    fn read(&self, location: &Path, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
        let mut file = File::open(self.0.path_to_filesystem(location).ok()?).ok()?;
        let mut read = |range: &Range<u64>| {
            let length = range.end.checked_sub(range.start)?;
            let mut bytes = Vec::new();
            // A damaged file may ask for more than there is memory.
            bytes.try_reserve_exact(usize::try_from(length).ok()?).ok()?;
            file.seek(SeekFrom::Start(range.start)).ok()?;
            let taken = file.by_ref().take(length).read_to_end(&mut bytes).ok()?;
            (taken as u64 == length).then(|| Bytes::from(bytes))
        };
        ranges.iter().map(&mut read).collect()
    }
}

impl Display for LocalFiles {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for LocalFiles {
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.read(location, ranges) {
            Some(read) => Ok(read),
            // It says best what is wrong.
            None => self.0.get_ranges(location, ranges).await,
        }
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ranges_are_those_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("some bytes");
        let content: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let (own, plain) = (LocalFiles::default(), LocalFileSystem::new());
        let location = Path::from_absolute_path(&path).unwrap();
        let ranges = [5..5, 0..1, 99_999..100_000, 17..70_000];
        let read = own.get_ranges(&location, &ranges).await.unwrap();
        for (range, read) in ranges.iter().zip(&read) {
            assert_eq!(read.as_ref(), &content[range.start as usize..range.end as usize]);
        }
        assert_eq!(read, plain.get_ranges(&location, &ranges).await.unwrap());
        // What cannot be read is said as the store says it.
        for (location, range) in [(&location, 99_999..100_001), (&location, 200_000..200_001), (&Path::from("no/such/file"), 0..1)] {
            let own = own.get_ranges(location, std::slice::from_ref(&range)).await.unwrap_err().to_string();
            assert_eq!(own, plain.get_ranges(location, &[range]).await.unwrap_err().to_string());
        }
    }
}
