//! One round of AES, by the processor's instruction or by tables, with the same answer.
//!
//! A block is a `u128` whose little endian bytes are the sixteen bytes of FIPS 197, column by column. A round is what the
//! instruction AESENC does: ShiftRows, SubBytes, MixColumns, and the round key last.

/// How rounds are computed.
pub(super) trait Rounds {
    /// Whether it needs what [`native`] looks for.
    const NATIVE: bool;
    /// A block where rounds are computed.
    type Block: Copy;
    /// A block from its bits.
    fn load(bits: u128) -> Self::Block;
    /// Its bits.
    fn store(block: Self::Block) -> u128;
    /// Both, bit by bit.
    fn xor(a: Self::Block, b: Self::Block) -> Self::Block;
    /// One round.
    fn round(state: Self::Block, key: Self::Block) -> Self::Block;

    /// Takes each payload, added to `start`, through the rounds, and adds it to its state.
    #[inline(always)]
    fn absorb(rounds: &[Self::Block; 4], start: Self::Block, payloads: &[u128], states: &mut [u128]) {
        for (payload, state) in payloads.iter().zip(states) {
            let mut block = Self::xor(start, Self::load(*payload));
            for key in rounds {
                block = Self::round(block, *key);
            }
            *state = Self::store(Self::xor(Self::load(*state), block));
        }
    }

    /// The same for whole numbers times a factor, as numbers of 128 bits: those of `i64`, or of `u64` where they are not `SIGNED`.
    #[inline(always)]
    fn absorb_products<const SIGNED: bool>(rounds: &[Self::Block; 4], start: Self::Block, values: &[i64], times: u64, states: &mut [u128]) {
        for (value, state) in values.iter().zip(states) {
            let wide = if SIGNED { i128::from(*value) as u128 } else { u128::from(*value as u64) };
            let mut block = Self::xor(start, Self::load(wide.wrapping_mul(u128::from(times))));
            for key in rounds {
                block = Self::round(block, *key);
            }
            *state = Self::store(Self::xor(Self::load(*state), block));
        }
    }

    /// Four values of so many whole blocks, and what is left of them: each block through the rounds, added to what the one before gave, or to
    /// `start`. To the last one `last` is added, and the number of its bytes, in its last byte.
    #[inline(always)]
    fn chains(rounds: &[Self::Block; 4], start: Self::Block, last: Self::Block, whole: usize, values: [&[u8]; 4]) -> [u128; 4] {
        let mut chained = [0; 4];
        for (value, chained) in values.into_iter().zip(&mut chained) {
            *chained = Self::store(Self::chain(rounds, start, last, whole, value));
        }
        chained
    }

    /// The same for one value.
    #[inline(always)]
    fn chain(rounds: &[Self::Block; 4], start: Self::Block, last: Self::Block, whole: usize, value: &[u8]) -> Self::Block {
        let mut state = start;
        let blocks = value.as_chunks::<16>().0;
        for block in &blocks[..whole.min(blocks.len())] {
            state = Self::xor(state, Self::load(u128::from_le_bytes(*block)));
            for key in rounds {
                state = Self::round(state, *key);
            }
        }
        let rest = value.len() % 16;
        state = Self::xor(state, Self::xor(last, Self::load(tail(value, rest) ^ ((rest as u128) << 120))));
        for key in rounds {
            state = Self::round(state, *key);
        }
        state
    }

    /// Takes each state through the rounds.
    #[inline(always)]
    fn finish(rounds: &[Self::Block; 5], states: &mut [u128]) {
        for state in states {
            let mut block = Self::load(*state);
            for key in rounds {
                block = Self::round(block, *key);
            }
            *state = Self::store(block);
        }
    }
}

/// The last bytes of a value, fewer than sixteen, padded with zeros.
#[inline(always)]
pub(super) fn tail(bytes: &[u8], rest: usize) -> u128 {
    let word = |at: usize| bytes.get(at..at + 8).map_or(0, |part| u64::from_le_bytes(part.try_into().unwrap_or_default()));
    let half = |at: usize| bytes.get(at..at + 4).map_or(0, |part| u32::from_le_bytes(part.try_into().unwrap_or_default()));
    let len = bytes.len();
    match (rest, len) {
        (0, _) => 0,
        // Sixteen bytes that end where the value ends, less those before the rest: faster than copying a few.
        (_, 16..) => (u128::from(word(len - 16)) | u128::from(word(len - 8)) << 64) >> (8 * (16 - rest)),
        (8.., _) => u128::from(word(0)) | (u128::from(word(len - 8)) >> (8 * (16 - len))) << 64,
        (4.., _) => u128::from(u64::from(half(0)) | (u64::from(half(len - 4)) >> (8 * (8 - len))) << 32),
        _ => bytes.iter().rev().fold(0, |all, byte| all << 8 | u128::from(*byte)),
    }
}

/// How fast this machine can compute rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speed {
    /// By tables.
    Portable,
    /// By the instruction, one block at a time.
    Native,
    /// By the instruction, four blocks at a time.
    Wide,
}

/// By tables: on every machine.
pub(super) struct Portable;

impl Rounds for Portable {
    const NATIVE: bool = false;
    type Block = u128;

    #[inline(always)]
    fn load(bits: u128) -> u128 {
        bits
    }

    #[inline(always)]
    fn store(block: u128) -> u128 {
        block
    }

    #[inline(always)]
    fn xor(a: u128, b: u128) -> u128 {
        a ^ b
    }

    #[inline(always)]
    fn round(state: u128, key: u128) -> u128 {
        let bytes = state.to_le_bytes();
        let mut out = 0_u128;
        let mut column = 0;
        while column < 4 {
            // Row r of a column comes from r columns further on.
            let word = TABLE[bytes[4 * column] as usize]
                ^ TABLE[bytes[(4 * column + 5) % 16] as usize].rotate_left(8)
                ^ TABLE[bytes[(4 * column + 10) % 16] as usize].rotate_left(16)
                ^ TABLE[bytes[(4 * column + 15) % 16] as usize].rotate_left(24);
            out |= (word as u128) << (32 * column);
            column += 1;
        }
        out ^ key
    }
}

/// By the instruction. To be used inside functions with the target feature `aes` only.
#[cfg(target_arch = "x86_64")]
pub(super) struct Native;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the AES instruction has no safe form outside functions with its target feature")]
impl Rounds for Native {
    const NATIVE: bool = true;
    type Block = std::arch::x86_64::__m128i;

    #[inline(always)]
    fn load(bits: u128) -> Self::Block {
        // SAFETY: both are sixteen bytes without invalid values, and the machine is little endian.
        unsafe { std::mem::transmute(bits) }
    }

    #[inline(always)]
    fn store(block: Self::Block) -> u128 {
        // SAFETY: as above.
        unsafe { std::mem::transmute(block) }
    }

    #[inline(always)]
    fn xor(a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: SSE2 is part of every x86-64.
        unsafe { std::arch::x86_64::_mm_xor_si128(a, b) }
    }

    #[inline(always)]
    fn round(state: Self::Block, key: Self::Block) -> Self::Block {
        // SAFETY: `Native` is used only where `native` said that the processor has AES.
        unsafe { std::arch::x86_64::_mm_aesenc_si128(state, key) }
    }
}

/// By the instruction on four blocks at a time, where many are at hand. To be used where [`speed`] said so only.
#[cfg(target_arch = "x86_64")]
pub(super) struct Wide;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the AES instruction has no safe form outside functions with its target feature")]
impl Rounds for Wide {
    const NATIVE: bool = true;
    type Block = std::arch::x86_64::__m128i;

    #[inline(always)]
    fn load(bits: u128) -> Self::Block {
        Native::load(bits)
    }

    #[inline(always)]
    fn store(block: Self::Block) -> u128 {
        Native::store(block)
    }

    #[inline(always)]
    fn xor(a: Self::Block, b: Self::Block) -> Self::Block {
        Native::xor(a, b)
    }

    #[inline(always)]
    fn round(state: Self::Block, key: Self::Block) -> Self::Block {
        Native::round(state, key)
    }

    #[inline(always)]
    fn absorb(rounds: &[Self::Block; 4], start: Self::Block, payloads: &[u128], states: &mut [u128]) {
        // SAFETY: `Wide` is used only where the processor has these instructions; so below.
        unsafe { wide::absorb(rounds, start, payloads, states) }
    }

    #[inline(always)]
    fn absorb_products<const SIGNED: bool>(rounds: &[Self::Block; 4], start: Self::Block, values: &[i64], times: u64, states: &mut [u128]) {
        unsafe { wide::absorb_products::<SIGNED>(rounds, start, values, times, states) }
    }

    #[inline(always)]
    fn chains(rounds: &[Self::Block; 4], start: Self::Block, last: Self::Block, whole: usize, values: [&[u8]; 4]) -> [u128; 4] {
        unsafe { wide::chains(rounds, start, last, whole, values) }
    }

    #[inline(always)]
    fn finish(rounds: &[Self::Block; 5], states: &mut [u128]) {
        unsafe { wide::finish(rounds, states) }
    }
}

/// Four blocks at a time. The features stand at each function, not at their caller alone: what a caller hands to a closure has lost them, and
/// then each instruction is a call.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vectors are loaded from memory by pointers")]
mod wide {
    use std::arch::x86_64::{
        __m128i, __m512i, _mm_loadu_si128, _mm_maskz_loadu_epi8, _mm512_add_epi64, _mm512_aesenc_epi128, _mm512_and_si512,
        _mm512_broadcast_i32x4, _mm512_castsi128_si512, _mm512_cmplt_epi64_mask, _mm512_inserti32x4, _mm512_loadu_si512,
        _mm512_mask_sub_epi64, _mm512_mul_epu32, _mm512_or_si512, _mm512_permutexvar_epi64, _mm512_set1_epi64, _mm512_setr_epi64,
        _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srli_epi64, _mm512_storeu_si512, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
        _mm512_xor_si512,
    };

    use super::{Native, Rounds};

    /// How many bytes a last block holds, where they stand.
    static COUNTS: [u128; 16] = {
        let mut counts = [0; 16];
        let mut count = 0;
        while count < 16 {
            counts[count] = (count as u128) << 120;
            count += 1;
        }
        counts
    };

    /// Each key four times.
    #[inline]
    #[target_feature(enable = "aes,avx2,vaes,avx512f,avx512vl,avx512bw")]
    fn quadruple<const N: usize>(keys: &[__m128i; N]) -> [__m512i; N] {
        let mut quadrupled = [_mm512_setzero_si512(); N];
        let mut at = 0;
        while at < N {
            quadrupled[at] = _mm512_broadcast_i32x4(keys[at]);
            at += 1;
        }
        quadrupled
    }

    /// Four blocks through the rounds.
    #[inline]
    #[target_feature(enable = "aes,avx2,vaes,avx512f,avx512vl,avx512bw")]
    fn through<const N: usize>(keys: &[__m512i; N], mut blocks: __m512i) -> __m512i {
        let mut at = 0;
        while at < N {
            blocks = _mm512_aesenc_epi128(blocks, keys[at]);
            at += 1;
        }
        blocks
    }

    /// Four payloads, added to `start`, through the rounds, and added to their states.
    #[inline]
    #[target_feature(enable = "aes,avx2,vaes,avx512f,avx512vl,avx512bw")]
    fn add(keys: &[__m512i; 4], start: __m512i, payloads: __m512i, states: &mut [u128; 4]) {
        let blocks = through(keys, _mm512_xor_si512(start, payloads));
        // SAFETY: four blocks are 64 bytes.
        unsafe {
            let sum = _mm512_xor_si512(blocks, _mm512_loadu_si512(states.as_ptr().cast()));
            _mm512_storeu_si512(states.as_mut_ptr().cast(), sum);
        }
    }

    #[inline]
    #[target_feature(enable = "aes,avx2,vaes,avx512f,avx512vl,avx512bw")]
    pub(super) fn absorb(rounds: &[__m128i; 4], start: __m128i, payloads: &[u128], states: &mut [u128]) {
        let (payloads, rest) = payloads.as_chunks::<4>();
        let (quads, states) = states.as_chunks_mut::<4>();
        // SAFETY: four blocks are 64 bytes.
        unsafe {
            let keys = quadruple(rounds);
            let start = _mm512_broadcast_i32x4(start);
            for (payload, state) in payloads.iter().zip(quads) {
                add(&keys, start, _mm512_loadu_si512(payload.as_ptr().cast()), state);
            }
        }
        Native::absorb(rounds, start, rest, states);
    }

    #[inline]
    #[target_feature(enable = "aes,avx2,vaes,avx512f,avx512vl,avx512bw")]
    pub(super) fn absorb_products<const SIGNED: bool>(
        rounds: &[__m128i; 4],
        start: __m128i,
        values: &[i64],
        times: u64,
        states: &mut [u128],
    ) {
        let (eights, rest) = values.as_chunks::<8>();
        let (states, rest_of_states) = states.as_chunks_mut::<8>();
        // SAFETY: eight numbers are 64 bytes.
        unsafe {
            let keys = quadruple(rounds);
            let first = _mm512_broadcast_i32x4(start);
            let low_half = _mm512_set1_epi64(0xffff_ffff);
            let (times_low, times_high) = (_mm512_set1_epi64((times & 0xffff_ffff) as i64), _mm512_set1_epi64((times >> 32) as i64));
            let all_times = _mm512_set1_epi64(times as i64);
            // So that the lower halves of the lanes are the first four numbers.
            let lanes = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
            for (eight, states) in eights.iter().zip(states) {
                let value = _mm512_permutexvar_epi64(lanes, _mm512_loadu_si512(eight.as_ptr().cast()));
                // 64 by 64 bits from products of 32 by 32, as on paper.
                let upper = _mm512_srli_epi64::<32>(value);
                let (low_low, low_high) = (_mm512_mul_epu32(value, times_low), _mm512_mul_epu32(value, times_high));
                let (high_low, high_high) = (_mm512_mul_epu32(upper, times_low), _mm512_mul_epu32(upper, times_high));
                let middle = _mm512_add_epi64(low_high, _mm512_srli_epi64::<32>(low_low));
                let carried = _mm512_add_epi64(high_low, _mm512_and_si512(middle, low_half));
                let low = _mm512_or_si512(_mm512_slli_epi64::<32>(carried), _mm512_and_si512(low_low, low_half));
                let mut high =
                    _mm512_add_epi64(_mm512_add_epi64(high_high, _mm512_srli_epi64::<32>(middle)), _mm512_srli_epi64::<32>(carried));
                if SIGNED {
                    // A negative number was taken for one that is greater by 2^64.
                    let negative = _mm512_cmplt_epi64_mask(value, _mm512_setzero_si512());
                    high = _mm512_mask_sub_epi64(high, negative, high, all_times);
                }
                let (four, more) = states.split_at_mut(4);
                if let (Some(four), Some(more)) = (four.first_chunk_mut(), more.first_chunk_mut()) {
                    add(&keys, first, _mm512_unpacklo_epi64(low, high), four);
                    add(&keys, first, _mm512_unpackhi_epi64(low, high), more);
                }
            }
        }
        Native::absorb_products::<SIGNED>(rounds, start, rest, times, rest_of_states);
    }

    #[inline]
    #[target_feature(enable = "aes,avx2,vaes,avx512f,avx512vl,avx512bw")]
    pub(super) fn chains(rounds: &[__m128i; 4], start: __m128i, last: __m128i, whole: usize, values: [&[u8]; 4]) -> [u128; 4] {
        let shortest = values[0].len().min(values[1].len()).min(values[2].len()).min(values[3].len());
        let whole = whole.min(shortest / 16);
        let mut chained = [0; 4];
        // SAFETY: each value has so many whole blocks, and a masked load touches the bytes of its mask alone.
        unsafe {
            let keys = quadruple(rounds);
            let mut state = _mm512_broadcast_i32x4(start);
            let at = [values[0].as_ptr(), values[1].as_ptr(), values[2].as_ptr(), values[3].as_ptr()];
            for block in 0..whole {
                let mut four = _mm512_castsi128_si512(_mm_loadu_si128(at[0].add(16 * block).cast()));
                four = _mm512_inserti32x4::<1>(four, _mm_loadu_si128(at[1].add(16 * block).cast()));
                four = _mm512_inserti32x4::<2>(four, _mm_loadu_si128(at[2].add(16 * block).cast()));
                four = _mm512_inserti32x4::<3>(four, _mm_loadu_si128(at[3].add(16 * block).cast()));
                state = through(&keys, _mm512_xor_si512(state, four));
            }
            let mut ends = [Native::load(0); 4];
            let mut row = 0;
            while row < 4 {
                let rest = (values[row].len() - 16 * whole) & 15;
                let bytes = _mm_maskz_loadu_epi8(((1_u32 << rest) - 1) as u16, at[row].add(16 * whole).cast());
                ends[row] = Native::xor(bytes, Native::load(COUNTS[rest]));
                row += 1;
            }
            let mut four = _mm512_castsi128_si512(ends[0]);
            four = _mm512_inserti32x4::<1>(four, ends[1]);
            four = _mm512_inserti32x4::<2>(four, ends[2]);
            four = _mm512_inserti32x4::<3>(four, ends[3]);
            state = _mm512_xor_si512(state, _mm512_xor_si512(four, _mm512_broadcast_i32x4(last)));
            _mm512_storeu_si512(chained.as_mut_ptr().cast(), through(&keys, state));
        }
        chained
    }

    #[inline]
    #[target_feature(enable = "aes,avx2,vaes,avx512f,avx512vl,avx512bw")]
    pub(super) fn finish(rounds: &[__m128i; 5], states: &mut [u128]) {
        let (quads, rest) = states.as_chunks_mut::<4>();
        // SAFETY: four blocks are 64 bytes.
        unsafe {
            let keys = quadruple(rounds);
            for state in quads {
                let block = through(&keys, _mm512_loadu_si512(state.as_ptr().cast()));
                _mm512_storeu_si512(state.as_mut_ptr().cast(), block);
            }
        }
        Native::finish(rounds, rest);
    }
}

/// What this processor has.
pub(super) fn speed() -> Speed {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("avx2") {
            let wide = std::arch::is_x86_feature_detected!("vaes")
                && std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512bw");
            return if wide { Speed::Wide } else { Speed::Native };
        }
    }
    Speed::Portable
}

/// Doubling in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
const fn double(x: u8) -> u8 {
    (x << 1) ^ (if x & 0x80 == 0 { 0 } else { 0x1b })
}

/// The S-box: the inverse in GF(2^8), then the affine map of FIPS 197.
const fn s_box() -> [u8; 256] {
    let mut table = [0; 256];
    // 3 generates the multiplicative group, and 0xf6 is its inverse: p runs through all elements and q through their inverses.
    let (mut p, mut q) = (1_u8, 1_u8);
    loop {
        p ^= double(p);
        q ^= q << 1;
        q ^= q << 2;
        q ^= q << 4;
        if q & 0x80 != 0 {
            q ^= 0x09;
        }
        table[p as usize] = q ^ q.rotate_left(1) ^ q.rotate_left(2) ^ q.rotate_left(3) ^ q.rotate_left(4) ^ 0x63;
        if p == 1 {
            break;
        }
    }
    table[0] = 0x63;
    table
}

/// SubBytes and the first column of MixColumns for each byte.
static TABLE: [u32; 256] = {
    let boxes = s_box();
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let s = boxes[at];
        let twice = double(s);
        table[at] = u32::from_le_bytes([twice, s, s, twice ^ s]);
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn block(hex: &str) -> u128 {
        u128::from_str_radix(hex, 16).unwrap().swap_bytes()
    }

    /// FIPS 197, appendix B: the state at the start of round 1 and its key give the state at the start of round 2, and so on.
    #[test]
    fn rounds_are_those_of_the_standard() {
        let start = block("193de3bea0f4e22b9ac68d2ae9f84808");
        let keys = ["a0fafe1788542cb123a339392a6c7605", "f2c295f27a96b9435935807a7359f67f", "3d80477d4716fe3e1e237e446d7a883b"];
        let states = ["a49c7ff2689f352b6b5bea43026a5049", "aa8f5f0361dde3ef82d24ad26832469a", "486c4eee671d9d0d4de3b138d65f58e7"];
        let mut state = start;
        for (key, next) in keys.iter().zip(states) {
            state = Portable::round(state, block(key));
            assert_eq!(state, block(next));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_instruction_and_the_tables_agree() {
        use rand::{Rng, SeedableRng, rngs::StdRng};
        if speed() == Speed::Portable {
            return;
        }
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..10_000 {
            let (state, key): (u128, u128) = (rng.random(), rng.random());
            assert_eq!(Native::store(Native::round(Native::load(state), Native::load(key))), Portable::round(state, key));
        }
    }
}
