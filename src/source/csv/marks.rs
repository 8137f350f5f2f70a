//! Where the bytes stand that give a CSV its shape: delimiters, ends of lines and quotes.
//!
//! Sixty-four bytes at a time are held against those four bytes, and each that is one becomes a bit of a mask, as in simdjson (Langdale and
//! Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 28, 2019). What the bytes mean is not decided here.

/// Bytes that are looked at together.
const TOGETHER: usize = 64;

/// Appends the places of all such bytes of a text that is shorter than 4 GiB.
pub(super) fn find(text: &[u8], delimiter: u8, places: &mut Vec<u32>) {
    let (blocks, rest) = text.as_chunks::<TOGETHER>();
    // Most files have a mark in every five to ten bytes.
    places.reserve(text.len() / 6);
    let mut base = 0;
    for block in blocks {
        append(mask(block, delimiter), base, places);
        base += TOGETHER as u32;
    }
    let mut last = [0; TOGETHER];
    last[..rest.len()].copy_from_slice(rest);
    append(mask(&last, delimiter) & ((1 << rest.len()) - 1), base, places);
}

#[inline(always)]
fn append(mut mask: u64, base: u32, places: &mut Vec<u32>) {
    let mut here = [0; TOGETHER];
    let count = mask.count_ones() as usize;
    for place in &mut here[..count] {
        *place = base + mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
    }
    places.extend_from_slice(&here[..count]);
}

/// A bit for each byte that is a mark.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the function needs instructions that every processor of this kind has")]
#[inline]
fn mask(block: &[u8; TOGETHER], delimiter: u8) -> u64 {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { sixteen_at_once(block, delimiter) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn sixteen_at_once(block: &[u8; TOGETHER], delimiter: u8) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8};
    let delimiter = _mm_set1_epi8(delimiter.cast_signed());
    let (feed, carriage, quote) = (_mm_set1_epi8(0x0a), _mm_set1_epi8(0x0d), _mm_set1_epi8(0x22));
    let (words, _) = block.as_chunks::<8>();
    let mut mask = 0;
    for (at, pair) in words.chunks_exact(2).enumerate() {
        let bytes = _mm_set_epi64x(i64::from_le_bytes(pair[1]), i64::from_le_bytes(pair[0]));
        let ends = _mm_or_si128(_mm_cmpeq_epi8(bytes, feed), _mm_cmpeq_epi8(bytes, carriage));
        let others = _mm_or_si128(_mm_cmpeq_epi8(bytes, delimiter), _mm_cmpeq_epi8(bytes, quote));
        mask |= u64::from(_mm_movemask_epi8(_mm_or_si128(ends, others)).cast_unsigned()) << (at * 16);
    }
    mask
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn mask(block: &[u8; TOGETHER], delimiter: u8) -> u64 {
    one_by_one(block, delimiter)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn one_by_one(block: &[u8; TOGETHER], delimiter: u8) -> u64 {
    let is_mark = |byte: u8| byte == delimiter || byte == b'\n' || byte == b'\r' || byte == b'"';
    block.iter().enumerate().fold(0, |mask, (at, byte)| mask | u64::from(is_mark(*byte)) << at)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn every_mark_is_found_wherever_it_stands() {
        let mut random = StdRng::seed_from_u64(7);
        for length in 0..300 {
            let text: Vec<u8> = (0..length).map(|_| b"abc,;\n\r\"\0\xff"[random.random_range(0..10)]).collect();
            for delimiter in *b",;\t\0\xff" {
                let mut places = Vec::new();
                find(&text, delimiter, &mut places);
                let slow: Vec<u32> =
                    (0..).zip(&text).filter(|(_, b)| **b == delimiter || b"\n\r\"".contains(b)).map(|(at, _)| at).collect();
                assert_eq!(places, slow);
            }
            if let Ok(block) = text[..text.len().min(TOGETHER)].try_into() {
                assert_eq!(mask(block, b','), one_by_one(block, b','));
            }
        }
    }
}
