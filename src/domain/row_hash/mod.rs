//! The checksum of a row: 128 bits, computed column by column over Arrow arrays.
//!
//! ```text
//! value of column c ──► E_c ──┐
//! value of column d ──► E_d ──┼── XOR ──► F_row ──► row checksum        (E of key columns alone ──► F_key ──► key checksum)
//! value of column e ──► E_e ──┘
//! ```
//!
//! `E_c` takes the canonical form of a value through four rounds of AES under keys of the column, once for every sixteen
//! bytes; `F` is five rounds under keys of its own. What canonical forms are, and how keys come from the seed, is in
//! `docs/encoding.md`, by which a stranger can compute the same.
//!
//! **Why so.** Columns are added by XOR, so their order does not matter; keys differ by column, so values that change places
//! between columns do not cancel. `F` is not linear, so rows that swap a value change a sum of checksums. Numbers of a class, and
//! texts of up to fifteen bytes, are permuted: a row in which one such value changed to another always has another checksum.
//!
//! **What is known of it.** The mean over all keys of the probability that four rounds of AES take a given difference to another
//! given one is at most p = 1.881 × 2^-114 (Keliher and Sui, "Exact maximum expected differential and linear probability for
//! two-round Advanced Encryption Standard", IET Information Security 1(2), 2007). For rows that differ in several columns, the last of
//! them would have to take exactly the difference that the others make, under keys that are independent of theirs: two
//! different rows of short values share a checksum with a probability of at most p over the keys. For values of several blocks, which share
//! their keys, that is an assumption, as in Pelican (Daemen and Rijmen, 2005/088 in the IACR archive). Adding up permuted
//! blocks is the shape of PMAC (Black and Rogaway, EUROCRYPT 2002).
//!
//! **Probability of an undetected difference.** Two multisets of rows that differ in n rows have equal sums only if a given one of these
//! shares its checksum with another, or if a combination of different checksums with small integer coefficients
//! vanishes modulo 2^128. The first has a probability of at most (n - 1) p. For the second, `F` is modelled as a random
//! function, without proof: 2^-128, or 2^-(128-k) where 2^k divides all coefficients (2^k copies of one row against none). So a comparison
//! passes wrongly with at most n 2^-113 + 2^-128, for 10^9 rows below 10^-25; and some row stays unseen, while others are found, with
//! at most n² p / 2, below 10^-16. That speaks of accidents, and with a secret seed of whoever does not know it; whoever knows the
//! seed can make rows that collide. `docs/encoding.md` has the derivation.

mod aes;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, GenericByteArray, GenericByteViewArray, PrimitiveArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    ByteArrayType, ByteViewType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type, i256,
};

#[cfg(target_arch = "x86_64")]
use self::aes::{Native, Wide};
use self::aes::{Portable, Rounds, Speed, speed};
use super::encoding::{ColumnEncoder, EncodingError, canonical_float, encode_decimal, encode_wide_decimal, ticks_per_second};

/// What the checksum is, for reports.
pub const CHECKSUM_DEFINITION: &str = "gapless-checksum/2: sum mod 2^128 of 128-bit row checksums (AES, 4 rounds a block)";

/// The documented constant seed: the BLAKE3 key derivation of this context string, with empty key material.
const DEFAULT_SEED_CONTEXT: &str = "gapless 2026-11-24 row checksum v2";

/// What all keys are derived from: a documented constant, or a secret of the run.
#[derive(Clone)]
pub struct Seed([u8; 32]);

impl Default for Seed {
    fn default() -> Self {
        Self(blake3::derive_key(DEFAULT_SEED_CONTEXT, b""))
    }
}

impl From<[u8; 32]> for Seed {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Seed {
    /// The seed may be a secret of the run.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

impl Seed {
    /// So many blocks for a purpose: the output of BLAKE3, keyed with the seed, over the purpose and a name.
    fn blocks<const N: usize>(&self, purpose: u8, name: &[u8]) -> [u128; N] {
        let mut output = blake3::Hasher::new_keyed(&self.0).update(&[purpose]).update(name).finalize_xof();
        std::array::from_fn(|_| {
            let mut bytes = [0; 16];
            output.fill(&mut bytes);
            u128::from_le_bytes(bytes)
        })
    }
}

/// What kind a value is: values of different kinds are different. The numbers are part of the definition.
#[derive(Debug, Clone, Copy)]
enum Class {
    Null = 0,
    Boolean = 1,
    Exact = 2,
    WideExact = 3,
    Float = 4,
    Text = 5,
    Binary = 6,
    Instant = 7,
    Date = 8,
    TimeOfDay = 9,
    Duration = 10,
    /// Intervals, lists, maps and structs, in the canonical encoding.
    Encoded = 11,
}

const CLASSES: usize = 12;
const ROUNDS: usize = 4;

/// The keys of a column.
#[derive(Clone)]
struct ColumnKeys {
    rounds: [u128; ROUNDS],
    /// Marks the last block of a value.
    last: u128,
    starts: [u128; CLASSES],
}

impl ColumnKeys {
    fn new(seed: &Seed, name: &str) -> Self {
        let blocks = seed.blocks::<{ ROUNDS + 1 + CLASSES }>(b'c', name.as_bytes());
        let mut starts = [0; CLASSES];
        starts.copy_from_slice(&blocks[ROUNDS + 1..]);
        Self { rounds: [blocks[0], blocks[1], blocks[2], blocks[3]], last: blocks[ROUNDS], starts }
    }
}

struct Keys {
    columns: Vec<ColumnKeys>,
    row: [u128; 5],
    key: [u128; 5],
}

/// Hashes the rows of some columns. Cheap to clone.
#[derive(Clone)]
pub struct RowHashing {
    keys: Arc<Keys>,
    speed: Speed,
}

impl std::fmt::Debug for RowHashing {
    /// The keys may come from a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RowHashing")
    }
}

impl RowHashing {
    /// For columns that are then named by their place.
    pub fn new(seed: &Seed, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|name| ColumnKeys::new(seed, name)).collect();
        let keys = Keys { columns, row: seed.blocks(b'f', b"row"), key: seed.blocks(b'f', b"key") };
        Self { keys: Arc::new(keys), speed: speed() }
    }

    /// The same without special instructions, and with the same answers.
    pub fn portable(mut self) -> Self {
        self.speed = Speed::Portable;
        self
    }

    /// Adds the value of every row of a column to the state of the row.
    ///
    /// # Errors
    /// The type has no canonical form, or the array has another length than the states.
    pub fn absorb(&self, column: usize, array: &dyn Array, states: &mut [u128]) -> Result<(), EncodingError> {
        let Some(keys) = self.keys.columns.get(column).filter(|_| array.len() == states.len()) else {
            return Err(EncodingError::Unsupported { column: format!("number {column}"), data_type: array.data_type().clone() });
        };
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the functions need instructions that were looked for")]
        // SAFETY: a speed is chosen only where the processor has the features of its functions.
        unsafe {
            match self.speed {
                Speed::Wide => return absorb_wide(keys, array, states),
                Speed::Native => return absorb_native(keys, array, states),
                Speed::Portable => {}
            }
        }
        absorb::<Portable>(keys, array, states)
    }

    /// Turns states into row checksums.
    pub fn finish_rows(&self, states: &mut [u128]) {
        self.finish(&self.keys.row, states);
    }

    /// Turns the states of key columns into key checksums.
    pub fn finish_keys(&self, states: &mut [u128]) {
        self.finish(&self.keys.key, states);
    }

    fn finish(&self, keys: &[u128; 5], states: &mut [u128]) {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the functions need instructions that were looked for")]
        // SAFETY: a speed is chosen only where the processor has the features of its functions.
        unsafe {
            match self.speed {
                Speed::Wide => return finish_wide(keys, states),
                Speed::Native => return finish_native(keys, states),
                Speed::Portable => {}
            }
        }
        finish::<Portable>(keys, states);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes,avx2")]
fn absorb_native(keys: &ColumnKeys, array: &dyn Array, states: &mut [u128]) -> Result<(), EncodingError> {
    absorb::<Native>(keys, array, states)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes,avx2")]
fn finish_native(keys: &[u128; 5], states: &mut [u128]) {
    finish::<Native>(keys, states);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes,avx2,vaes,avx512f,avx512vl,avx512bw")]
fn absorb_wide(keys: &ColumnKeys, array: &dyn Array, states: &mut [u128]) -> Result<(), EncodingError> {
    absorb::<Wide>(keys, array, states)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes,avx2,vaes,avx512f,avx512vl,avx512bw")]
fn finish_wide(keys: &[u128; 5], states: &mut [u128]) {
    finish::<Wide>(keys, states);
}

#[inline(always)]
fn finish<R: Rounds>(keys: &[u128; 5], states: &mut [u128]) {
    R::finish(&keys.map(R::load), states);
}

/// Values whose payloads are made before their rounds are computed together.
const TOGETHER: usize = 64;

/// Values of a dictionary that can be hashed again for every stretch of rows. A power of two.
pub(crate) const FEW_VALUES: usize = 64;

/// The keys of a column, ready for rounds.
struct Ready<R: Rounds> {
    rounds: [R::Block; ROUNDS],
    null: R::Block,
}

impl<R: Rounds> Ready<R> {
    #[inline(always)]
    fn new(keys: &ColumnKeys) -> Self {
        Self { rounds: keys.rounds.map(R::load), null: R::load(keys.starts[Class::Null as usize]) }
    }

    #[inline(always)]
    fn permute(&self, mut block: R::Block) -> R::Block {
        for key in self.rounds {
            block = R::round(block, key);
        }
        block
    }

    /// The block of a value that fits one. `start` is that of its class, with the mark of a last block.
    #[inline(always)]
    fn block(&self, start: R::Block, payload: u128) -> R::Block {
        self.permute(R::xor(start, R::load(payload)))
    }

    #[inline(always)]
    fn add(state: &mut u128, block: R::Block) {
        *state = R::store(R::xor(R::load(*state), block));
    }

    /// Values that fit a block.
    #[inline(always)]
    fn fixed<T: Copy>(&self, start: u128, nulls: Option<&NullBuffer>, states: &mut [u128], values: &[T], payload: impl Fn(T) -> u128) {
        let start = R::load(start);
        let mut payloads = [0; TOGETHER];
        for (at, (values, states)) in values.chunks(TOGETHER).zip(states.chunks_mut(TOGETHER)).enumerate() {
            let payloads = &mut payloads[..values.len()];
            for (place, value) in payloads.iter_mut().zip(values) {
                *place = payload(*value);
            }
            let Some(nulls) = nulls else {
                R::absorb(&self.rounds, start, payloads, states);
                continue;
            };
            let mut blocks = [0; TOGETHER];
            R::absorb(&self.rounds, start, payloads, &mut blocks[..payloads.len()]);
            self.add_valid(nulls, at * TOGETHER, states, &blocks);
        }
    }

    /// Whole numbers times a factor.
    #[inline(always)]
    fn numbers<const SIGNED: bool, T: Copy>(
        &self,
        start: u128,
        nulls: Option<&NullBuffer>,
        states: &mut [u128],
        values: &[T],
        times: u64,
        wide: impl Fn(T) -> i64,
    ) {
        let start = R::load(start);
        let mut numbers = [0; TOGETHER];
        for (at, (values, states)) in values.chunks(TOGETHER).zip(states.chunks_mut(TOGETHER)).enumerate() {
            let numbers = &mut numbers[..values.len()];
            for (number, value) in numbers.iter_mut().zip(values) {
                *number = wide(*value);
            }
            let Some(nulls) = nulls else {
                R::absorb_products::<SIGNED>(&self.rounds, start, numbers, times, states);
                continue;
            };
            let mut blocks = [0; TOGETHER];
            R::absorb_products::<SIGNED>(&self.rounds, start, numbers, times, &mut blocks[..numbers.len()]);
            self.add_valid(nulls, at * TOGETHER, states, &blocks);
        }
    }

    /// Adds the blocks of values to the states, which begin with that of row `from`; of a NULL what stands for it.
    #[inline(always)]
    fn add_valid(&self, nulls: &NullBuffer, from: usize, states: &mut [u128], blocks: &[u128]) {
        let null = R::store(self.null);
        for ((at, state), block) in states.iter_mut().enumerate().zip(blocks) {
            *state ^= if nulls.is_valid(from + at) { *block } else { null };
        }
    }

    /// Values of any length, in an order in which those of equally many blocks come one after another, in stretches of a few rows: then four
    /// go through the rounds together, and the processor guesses right how often a loop over blocks goes round, which costs more than the
    /// rounds themselves where it guesses wrong.
    #[inline(always)]
    fn texts<'a>(&self, start: u128, last: u128, nulls: Option<&NullBuffer>, states: &mut [u128], value: impl Fn(usize) -> &'a [u8]) {
        const KINDS: usize = 16;
        const STRETCH: usize = 256;
        let (start, last) = (R::load(start), R::load(last));
        let null = R::store(self.null);
        let mut values: [&[u8]; STRETCH] = [&[]; STRETCH];
        for (at, states) in states.chunks_mut(STRETCH).enumerate() {
            let from = at * STRETCH;
            let values = &mut values[..states.len()];
            let mut ends = [0_u16; KINDS + 1];
            for (row, place) in values.iter_mut().enumerate() {
                // What stands where a value is NULL may be anything, and is not looked at.
                *place = if nulls.is_some_and(|nulls| nulls.is_null(from + row)) { &[] } else { value(from + row) };
                ends[(place.len() / 16).min(KINDS - 1) + 1] += 1;
            }
            for kind in 0..KINDS {
                ends[kind + 1] += ends[kind];
            }
            let mut order = [0_u8; STRETCH];
            let mut next = ends;
            for (row, value) in values.iter().enumerate() {
                let place = &mut next[(value.len() / 16).min(KINDS - 1)];
                order[usize::from(*place) % STRETCH] = row as u8;
                *place += 1;
            }
            for kind in 0..KINDS {
                let rows = &order[usize::from(ends[kind]).min(STRETCH)..usize::from(ends[kind + 1]).min(STRETCH)];
                let (fours, rest) = if kind < KINDS - 1 { rows.as_chunks::<4>() } else { (&[][..], rows) };
                for four in fours {
                    let chosen = [0, 1, 2, 3].map(|at| values.get(usize::from(four[at])).copied().unwrap_or_default());
                    let blocks = R::chains(&self.rounds, start, last, kind, chosen);
                    for (row, block) in four.iter().zip(blocks) {
                        if let Some(state) = states.get_mut(usize::from(*row)) {
                            *state ^= block;
                        }
                    }
                }
                for row in rest {
                    if let (Some(state), Some(value)) = (states.get_mut(usize::from(*row)), values.get(usize::from(*row))) {
                        Self::add(state, R::chain(&self.rounds, start, last, value.len() / 16, value));
                    }
                }
            }
            if let Some(nulls) = nulls {
                // In the place of what was added for an empty value.
                let instead = null ^ R::store(R::chain(&self.rounds, start, last, 0, &[]));
                for (row, state) in states.iter_mut().enumerate() {
                    *state ^= if nulls.is_null(from + row) { instead } else { 0 };
                }
            }
        }
    }

    /// A value of any length: whole blocks, and a last one that says how many bytes it holds.
    #[inline(always)]
    fn bytes(&self, start: u128, last: u128, bytes: &[u8]) -> R::Block {
        R::chain(&self.rounds, R::load(start), R::load(last), bytes.len() / 16, bytes)
    }
}

/// Digits behind the point of the numbers that are hashed as one block. Every 64-bit integer times 10^18 fits 128 bits, and so does
/// every decimal(38, 18).
const EXACT_SCALE: i16 = 18;
/// 10^18.
const TEN_18: u64 = 1_000_000_000_000_000_000;

/// An exact number in the form that is hashed as one block: 10^18 times its value, if that is an integer of 128 bits. It is the number
/// itself, not a remainder of it, so different numbers have different forms; and it speaks of the value alone, so that 5, 5.0 and 5.00 have
/// one form.
fn exact(mut coefficient: i128, scale: i8) -> Option<i128> {
    let mut scale = i16::from(scale);
    if coefficient == 0 {
        return Some(0);
    }
    while scale > EXACT_SCALE && coefficient % 10 == 0 {
        coefficient /= 10;
        scale -= 1;
    }
    let power = u32::try_from(EXACT_SCALE - scale).ok()?;
    coefficient.checked_mul(10_i128.checked_pow(power)?)
}

/// The same for a coefficient of 256 bits.
fn exact_wide(mut coefficient: i256, mut scale: i8) -> Option<i128> {
    let ten = i256::from_i128(10);
    while i16::from(scale) > EXACT_SCALE && coefficient != i256::ZERO && coefficient.wrapping_rem(ten) == i256::ZERO {
        coefficient = coefficient.wrapping_div(ten);
        scale -= 1;
    }
    // One that needs more than 128 bits here needs more after the multiplication, too, or has digits that are too fine.
    exact(coefficient.to_i128()?, scale)
}

#[inline(always)]
fn absorb<R: Rounds>(keys: &ColumnKeys, array: &dyn Array, states: &mut [u128]) -> Result<(), EncodingError> {
    let ready = Ready::<R>::new(keys);
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    let start = |class: Class| keys.starts[class as usize];
    let single = |class: Class| start(class) ^ keys.last;
    let unpack = |target: &DataType| {
        let array = make_array(array.to_data());
        cast(&array, target).map_err(|source| EncodingError::Unpack { column: String::new(), source })
    };
    macro_rules! whole_numbers {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>().values();
            ready.numbers::<true, _>(single(Class::Exact), nulls, states, values, TEN_18, i64::from);
        }};
    }
    macro_rules! floats {
        ($type:ty, $wide:expr) => {{
            let values = array.as_primitive::<$type>().values();
            let wide = $wide;
            ready.fixed(single(Class::Float), nulls, states, values, |value| u128::from(canonical_float(wide(value)).to_bits()));
        }};
    }
    macro_rules! ticks {
        ($class:expr, $unit:expr) => {{
            let nanos = (1_000_000_000 / ticks_per_second(*$unit)) as u64;
            let plain = unpack(&DataType::Int64)?;
            let values = plain.as_primitive::<Int64Type>().values();
            ready.numbers::<true, _>(single($class), nulls, states, values, nanos, |value| value);
        }};
    }
    match array.data_type() {
        DataType::Null => states.iter_mut().for_each(|state| Ready::<R>::add(state, ready.null)),
        DataType::Boolean => {
            let values: Vec<bool> = array.as_boolean().values().iter().collect();
            ready.fixed(single(Class::Boolean), nulls, states, &values, u128::from);
        }
        DataType::Int8 => whole_numbers!(Int8Type),
        DataType::Int16 => whole_numbers!(Int16Type),
        DataType::Int32 => whole_numbers!(Int32Type),
        DataType::Int64 => whole_numbers!(Int64Type),
        DataType::UInt8 => whole_numbers!(UInt8Type),
        DataType::UInt16 => whole_numbers!(UInt16Type),
        DataType::UInt32 => whole_numbers!(UInt32Type),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().values();
            ready.numbers::<false, _>(single(Class::Exact), nulls, states, values, TEN_18, |value| value as i64);
        }
        DataType::Float16 => floats!(Float16Type, |value: <Float16Type as ArrowPrimitiveType>::Native| f64::from(value.to_f32())),
        DataType::Float32 => floats!(Float32Type, f64::from),
        DataType::Float64 => floats!(Float64Type, |value: f64| value),
        DataType::Decimal32(_, scale) => {
            let values = array.as_primitive::<Decimal32Type>();
            match narrow_power(*scale) {
                Some(power) => ready.numbers::<true, _>(single(Class::Exact), nulls, states, values.values(), power, i64::from),
                None => decimals::<R, Decimal32Type>(keys, &ready, values, *scale, nulls, states, i128::from),
            }
        }
        DataType::Decimal64(_, scale) => {
            let values = array.as_primitive::<Decimal64Type>();
            match narrow_power(*scale) {
                Some(power) => ready.numbers::<true, _>(single(Class::Exact), nulls, states, values.values(), power, |value| value),
                None => decimals::<R, Decimal64Type>(keys, &ready, values, *scale, nulls, states, i128::from),
            }
        }
        DataType::Decimal128(_, scale) => {
            decimals::<R, Decimal128Type>(keys, &ready, array.as_primitive(), *scale, nulls, states, |value| value);
        }
        DataType::Decimal256(_, scale) => {
            let values = array.as_primitive::<Decimal256Type>();
            let mut encoded = Vec::new();
            for (row, state) in states.iter_mut().enumerate() {
                let block = match exact_wide(values.value(row), *scale) {
                    _ if values.is_null(row) => ready.null,
                    Some(payload) => ready.block(R::load(single(Class::Exact)), payload as u128),
                    None => {
                        encoded.clear();
                        encode_wide_decimal(values.value(row), *scale, &mut encoded);
                        ready.bytes(start(Class::WideExact), keys.last, &encoded)
                    }
                };
                Ready::<R>::add(state, block);
            }
        }
        DataType::Utf8 => text(keys, &ready, Class::Text, array.as_string::<i32>(), nulls, states),
        DataType::LargeUtf8 => text(keys, &ready, Class::Text, array.as_string::<i64>(), nulls, states),
        DataType::Binary => text(keys, &ready, Class::Binary, array.as_binary::<i32>(), nulls, states),
        DataType::LargeBinary => text(keys, &ready, Class::Binary, array.as_binary::<i64>(), nulls, states),
        DataType::Utf8View => views(keys, &ready, Class::Text, array.as_string_view(), nulls, states),
        DataType::BinaryView => views(keys, &ready, Class::Binary, array.as_binary_view(), nulls, states),
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            let start = start(Class::Binary);
            for (row, state) in states.iter_mut().enumerate() {
                Ready::<R>::add(state, if values.is_null(row) { ready.null } else { ready.bytes(start, keys.last, values.value(row)) });
            }
        }
        DataType::Timestamp(unit, _) => ticks!(Class::Instant, unit),
        DataType::Duration(unit) => ticks!(Class::Duration, unit),
        DataType::Time64(unit) => ticks!(Class::TimeOfDay, unit),
        DataType::Time32(unit) => {
            let nanos = (1_000_000_000 / ticks_per_second(*unit)) as u64;
            let plain = unpack(&DataType::Int32)?;
            let values = plain.as_primitive::<Int32Type>().values();
            ready.numbers::<true, _>(single(Class::TimeOfDay), nulls, states, values, nanos, i64::from);
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>().values();
            ready.numbers::<true, _>(single(Class::Date), nulls, states, values, 1, i64::from);
        }
        // Date64 counts milliseconds, and not every writer keeps to midnights: as an instant nothing is lost.
        DataType::Date64 => {
            let values = array.as_primitive::<Date64Type>().values();
            ready.numbers::<true, _>(single(Class::Instant), nulls, states, values, 1_000_000, |value| value);
        }
        DataType::Dictionary(_, value_type) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().len() > array.len() {
                return absorb_boxed::<R>(keys, &unpack(value_type)?, states);
            }
            // Distinct values are hashed once each. Without values every key is NULL.
            let mut hashed = vec![0; dictionary.values().len()];
            absorb_boxed::<R>(keys, dictionary.values(), &mut hashed)?;
            if hashed.is_empty() {
                states.iter_mut().for_each(|state| Ready::<R>::add(state, ready.null));
                return Ok(());
            }
            // A table of a fixed size needs no look whether a place lies in it.
            let mut few = [0; FEW_VALUES];
            let is_few = hashed.len() <= FEW_VALUES;
            if is_few {
                few[..hashed.len()].copy_from_slice(&hashed);
            }
            macro_rules! look_up {
                ($($key:ident => $type:ty),*) => {
                    match dictionary.keys().data_type() {
                        $(DataType::$key => {
                            let places = dictionary.keys().as_primitive::<$type>().values();
                            if is_few && nulls.is_none() {
                                for (place, state) in places.iter().zip(states) {
                                    Ready::<R>::add(state, R::load(few[*place as usize % FEW_VALUES]));
                                }
                                return Ok(());
                            }
                            for (row, state) in states.iter_mut().enumerate() {
                                let is_null = nulls.is_some_and(|nulls| nulls.is_null(row));
                                let known = hashed.get(places[row] as usize).filter(|_| !is_null);
                                Ready::<R>::add(state, known.map_or(ready.null, |block| R::load(*block)));
                            }
                        })*
                        other => return Err(EncodingError::Unsupported { column: String::new(), data_type: other.clone() }),
                    }
                };
            }
            look_up!(Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
                     UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type);
        }
        DataType::RunEndEncoded(_, values) => return absorb_boxed::<R>(keys, &unpack(values.data_type())?, states),
        _ => {
            let encoder = ColumnEncoder::new("", &make_array(array.to_data()))?;
            let start = start(Class::Encoded);
            let mut encoded = Vec::new();
            for (row, state) in states.iter_mut().enumerate() {
                if encoder.is_null(row) {
                    Ready::<R>::add(state, ready.null);
                    continue;
                }
                encoded.clear();
                encoder.encode(row, &mut encoded);
                Ready::<R>::add(state, ready.bytes(start, keys.last, &encoded));
            }
        }
    }
    Ok(())
}

/// Recursion into the values of a dictionary: not inlined, and through the same door.
fn absorb_boxed<R: Rounds>(keys: &ColumnKeys, array: &ArrayRef, states: &mut [u128]) -> Result<(), EncodingError> {
    #[cfg(target_arch = "x86_64")]
    if R::NATIVE {
        #[expect(unsafe_code, reason = "the function needs instructions that were looked for")]
        // SAFETY: `Native` and `Wide` are used only where the processor has these features.
        return unsafe { absorb_native(keys, array.as_ref(), states) };
    }
    absorb::<Portable>(keys, array.as_ref(), states)
}

/// By how much coefficients of a scale are multiplied, if that is so little that all of 64 bits fit 128 bits then.
fn narrow_power(scale: i8) -> Option<u64> {
    u32::try_from(EXACT_SCALE - i16::from(scale)).ok().and_then(|power| 10_u64.checked_pow(power))
}

#[inline(always)]
fn decimals<R: Rounds, T: ArrowPrimitiveType>(
    keys: &ColumnKeys,
    ready: &Ready<R>,
    values: &PrimitiveArray<T>,
    scale: i8,
    nulls: Option<&NullBuffer>,
    states: &mut [u128],
    wide: impl Fn(T::Native) -> i128,
) {
    let start = R::load(keys.starts[Class::Exact as usize] ^ keys.last);
    // Of most columns every value fits, and one comparison says so.
    let power = u32::try_from(EXACT_SCALE - i16::from(scale)).ok().and_then(|power| 10_i128.checked_pow(power));
    let (power, most) = power.map_or((0, 0), |power| (power, i128::MAX as u128 / power as u128));
    let values = values.values();
    let mut encoded = Vec::new();
    for (row, state) in states.iter_mut().enumerate() {
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            Ready::<R>::add(state, ready.null);
            continue;
        }
        let coefficient = wide(values[row]);
        let payload = if coefficient.unsigned_abs() <= most { Some(coefficient * power) } else { exact(coefficient, scale) };
        let block = match payload {
            Some(payload) => ready.block(start, payload as u128),
            None => {
                encoded.clear();
                encode_decimal(coefficient, scale, &mut encoded);
                ready.bytes(keys.starts[Class::WideExact as usize], keys.last, &encoded)
            }
        };
        Ready::<R>::add(state, block);
    }
}

#[inline(always)]
fn text<R: Rounds, T: ByteArrayType>(
    keys: &ColumnKeys,
    ready: &Ready<R>,
    class: Class,
    array: &GenericByteArray<T>,
    nulls: Option<&NullBuffer>,
    states: &mut [u128],
) where
    T::Native: AsRef<[u8]>,
{
    ready.texts(keys.starts[class as usize], keys.last, nulls, states, |row| array.value(row).as_ref());
}

#[inline(always)]
fn views<R: Rounds, T: ByteViewType>(
    keys: &ColumnKeys,
    ready: &Ready<R>,
    class: Class,
    array: &GenericByteViewArray<T>,
    nulls: Option<&NullBuffer>,
    states: &mut [u128],
) where
    T::Native: AsRef<[u8]>,
{
    ready.texts(keys.starts[class as usize], keys.last, nulls, states, |row| array.value(row).as_ref());
}

#[cfg(test)]
mod tests;
