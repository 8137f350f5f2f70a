//! One object as a reader of its bytes, unpacked.

use std::io::{Cursor, Read, Seek};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::{GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::listing::Compression;

/// A reader over one object.
pub(super) trait Bytes: Read + Seek + Send {}
impl<T: Read + Seek + Send> Bytes for T {}

/// Opens an object; a local file is read in place, anything else is taken in whole.
pub(super) async fn open(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> Result<Box<dyn Bytes>, object_store::Error> {
    let result = store.get(&meta.location).await?;
    match result.payload {
        GetResultPayload::File(file, _) => Ok(Box::new(file)),
        GetResultPayload::Stream(stream) => {
            let chunks: Vec<bytes::Bytes> = stream.try_collect().await?;
            Ok(Box::new(Cursor::new(chunks.concat())))
        }
    }
}

/// The bytes without the compression around them.
pub(super) fn unpacked(reader: Box<dyn Bytes>, compression: Compression) -> std::io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
    })
}
