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

/// By the instruction on four blocks at a time, where many are at hand. To be used inside functions with the target features `aes`,
/// `vaes` and `avx512f` only.
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
        use std::arch::x86_64::{
            __m512i, _mm512_aesenc_epi128, _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_xor_si512,
        };
        let mut payloads = payloads.chunks_exact(4);
        let mut quads = states.chunks_exact_mut(4);
        // SAFETY: `Wide` is used only where the processor has these instructions, and a chunk of four blocks is 64 bytes.
        unsafe {
            let keys = [0, 1, 2, 3].map(|at| _mm512_broadcast_i32x4(rounds[at]));
            let start = _mm512_broadcast_i32x4(start);
            for (payload, state) in payloads.by_ref().zip(quads.by_ref()) {
                let mut block: __m512i = _mm512_xor_si512(start, _mm512_loadu_si512(payload.as_ptr().cast()));
                for key in keys {
                    block = _mm512_aesenc_epi128(block, key);
                }
                let sum = _mm512_xor_si512(block, _mm512_loadu_si512(state.as_ptr().cast()));
                _mm512_storeu_si512(state.as_mut_ptr().cast(), sum);
            }
        }
        Native::absorb(rounds, start, payloads.remainder(), quads.into_remainder());
    }

    #[inline(always)]
    fn finish(rounds: &[Self::Block; 5], states: &mut [u128]) {
        use std::arch::x86_64::{__m512i, _mm512_aesenc_epi128, _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_storeu_si512};
        let mut quads = states.chunks_exact_mut(4);
        // SAFETY: as above.
        unsafe {
            let keys = [0, 1, 2, 3, 4].map(|at| _mm512_broadcast_i32x4(rounds[at]));
            for state in quads.by_ref() {
                let mut block: __m512i = _mm512_loadu_si512(state.as_ptr().cast());
                for key in keys {
                    block = _mm512_aesenc_epi128(block, key);
                }
                _mm512_storeu_si512(state.as_mut_ptr().cast(), block);
            }
        }
        Native::finish(rounds, quads.into_remainder());
    }
}

/// What this processor has.
pub(super) fn speed() -> Speed {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("avx2") {
            let wide = std::arch::is_x86_feature_detected!("vaes")
                && std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512vl");
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
