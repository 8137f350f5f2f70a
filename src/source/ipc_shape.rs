//! A look at the frame of an Arrow IPC file or stream before a reader trusts it: the readers allocate what a
//! message claims, and a claim of an exabyte ends the process. Every length is held against the file's size first.

use std::io::{Read, Seek, SeekFrom};

use arrow::ipc::{Endianness, MessageHeader, Schema, root_as_footer, root_as_message};

/// Nobody writes batches of more rows or buffers of more bytes than this; a claim beyond it is damage.
const MOST_ROWS: i64 = i32::MAX as i64;
const MOST_BUFFER_BYTES: i64 = 1 << 33;

/// Checks the frame of a file. `streaming` says whether it is the stream format.
pub(super) fn check(reader: &mut (impl Read + Seek), size: u64) -> Result<(), String> {
    let mut magic = [0_u8; 6];
    let start = reader.read(&mut magic).map_err(|e| e.to_string())?;
    if start == 6 && &magic == b"ARROW1" { check_file(reader, size) } else { check_stream(reader, size) }
}

fn check_file(reader: &mut (impl Read + Seek), size: u64) -> Result<(), String> {
    if size < 20 {
        return Err("the file is too short to hold a footer".to_string());
    }
    let mut tail = [0_u8; 10];
    read_at(reader, size - 10, &mut tail)?;
    if &tail[4..] != b"ARROW1" {
        return Err("the file does not end in the magic bytes ARROW1: it is cut off or damaged".to_string());
    }
    let footer_len = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if footer_len + 18 > size {
        return Err(format!("the footer claims {footer_len} bytes, the file has {size}"));
    }
    let mut footer = vec![0_u8; usize::try_from(footer_len).map_err(|e| e.to_string())?];
    read_at(reader, size - 10 - footer_len, &mut footer)?;
    let footer = root_as_footer(&footer).map_err(|e| format!("the footer is damaged: {e}"))?;
    let schema = footer.schema().ok_or("the footer holds no schema")?;
    little_endian(&schema)?;
    let blocks = footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
    for block in blocks {
        let (offset, metadata, body) = (block.offset(), i64::from(block.metaDataLength()), block.bodyLength());
        let end = offset.checked_add(metadata).and_then(|sum| sum.checked_add(body));
        if offset < 0 || metadata < 8 || body < 0 || end.is_none_or(|end| u64::try_from(end).map_or(true, |end| end > size)) {
            return Err("the footer points outside the file".to_string());
        }
        let offset = u64::try_from(offset).map_err(|e| e.to_string())?;
        message_at(reader, offset, size)?;
    }
    Ok(())
}

fn check_stream(reader: &mut (impl Read + Seek), size: u64) -> Result<(), String> {
    let mut at = 0_u64;
    let mut messages = 0_u64;
    while at + 4 <= size {
        match message_at(reader, at, size)? {
            Some(next) => at = next,
            None => return Ok(()),
        }
        messages += 1;
    }
    if at < size || messages == 0 {
        return Err("the stream ends inside a message: it is cut off or damaged".to_string());
    }
    Ok(())
}

/// Checks the message at an offset; the offset after it, or `None` at the end of the stream.
fn message_at(reader: &mut (impl Read + Seek), at: u64, size: u64) -> Result<Option<u64>, String> {
    let mut word = [0_u8; 4];
    read_at(reader, at, &mut word)?;
    let mut head = at + 4;
    if word == [0xff; 4] {
        if head + 4 > size {
            return Err("the stream ends inside a message: it is cut off or damaged".to_string());
        }
        read_at(reader, head, &mut word)?;
        head += 4;
    }
    let length = i32::from_le_bytes(word);
    if length == 0 {
        return Ok(None);
    }
    let length = u64::try_from(length).map_err(|_| "a message has a negative length".to_string())?;
    if head + length > size {
        return Err(format!("a message claims {length} bytes of metadata, {} are left", size.saturating_sub(head)));
    }
    let mut metadata = vec![0_u8; usize::try_from(length).map_err(|e| e.to_string())?];
    read_at(reader, head, &mut metadata)?;
    let message = root_as_message(&metadata).map_err(|e| format!("a message is damaged: {e}"))?;
    let body_start = head + length;
    let body = u64::try_from(message.bodyLength()).map_err(|_| "a message has a negative body".to_string())?;
    if body_start.checked_add(body).is_none_or(|end| end > size) {
        return Err(format!("a message claims a body of {body} bytes, {} are left", size.saturating_sub(body_start)));
    }
    if let Some(schema) = message.header_as_schema() {
        little_endian(&schema)?;
    }
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|batch| batch.data()),
        _ => None,
    };
    if let Some(batch) = batch {
        if !(0..=MOST_ROWS).contains(&batch.length()) {
            return Err(format!("a batch claims {} rows", batch.length()));
        }
        for node in batch.nodes().into_iter().flatten() {
            if !(0..=MOST_ROWS).contains(&node.length()) || node.null_count() < 0 || node.null_count() > node.length() {
                return Err(format!("a column claims {} rows, {} of them NULL", node.length(), node.null_count()));
            }
        }
        for buffer in batch.buffers().into_iter().flatten() {
            let end = buffer.offset().checked_add(buffer.length());
            if buffer.offset() < 0 || buffer.length() < 0 || end.is_none_or(|end| end > message.bodyLength()) {
                return Err("a buffer lies outside its message".to_string());
            }
            if batch.compression().is_some() && buffer.length() >= 8 {
                let mut prefix = [0_u8; 8];
                let offset = u64::try_from(buffer.offset()).map_err(|e| e.to_string())?;
                read_at(reader, body_start + offset, &mut prefix)?;
                // -1 marks a buffer that was left uncompressed.
                let unpacked = i64::from_le_bytes(prefix);
                if !(-1..=MOST_BUFFER_BYTES).contains(&unpacked) {
                    return Err(format!("a compressed buffer claims {unpacked} bytes"));
                }
            }
        }
    }
    Ok(Some(body_start + body))
}

/// The stream reader takes every buffer for little endian, whatever the schema says.
fn little_endian(schema: &Schema<'_>) -> Result<(), String> {
    if schema.endianness() == Endianness::Little {
        Ok(())
    } else {
        Err("it was written on a big-endian machine, which is not supported: write it again as little endian".to_string())
    }
}

fn read_at(reader: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> Result<(), String> {
    reader.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
    reader.read_exact(into).map_err(|e| e.to_string())
}
