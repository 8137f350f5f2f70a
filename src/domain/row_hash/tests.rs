use std::sync::Arc;

use arrow::array::{
    BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, ListArray,
    NullArray, RunArray, StringArray, StringViewArray, StructArray, Time32SecondArray, Time64NanosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Fields};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

fn hashes(array: &dyn Array) -> Vec<u128> {
    let hashing = RowHashing::new(&Seed::default(), &["v"]);
    let sums = |hashing: &RowHashing| {
        let mut states = vec![0; array.len()];
        hashing.absorb(0, array, &mut states).unwrap();
        hashing.finish_rows(&mut states);
        states
    };
    let fast = sums(&hashing);
    assert_eq!(fast, sums(&hashing.clone().portable()), "{}", array.data_type());
    if hashing.speed == Speed::Wide {
        // What machines with narrower instructions compute.
        assert_eq!(fast, sums(&RowHashing { speed: Speed::Native, ..hashing }), "{}", array.data_type());
    }
    fast
}

/// The definition, a value at a time, without tables or instructions: what `docs/encoding.md` says.
mod reference {
    use super::*;

    pub(super) enum Value {
        Null,
        Block(Class, u128),
        Bytes(Class, Vec<u8>),
    }

    /// A round from the words of FIPS 197: multiplication in the field, nothing looked up but the S-box, which is searched.
    fn round(state: u128, key: u128) -> u128 {
        fn multiply(mut a: u8, mut b: u8) -> u8 {
            let mut product = 0;
            while b != 0 {
                if b & 1 != 0 {
                    product ^= a;
                }
                let carry = a & 0x80 != 0;
                a <<= 1;
                if carry {
                    a ^= 0x1b;
                }
                b >>= 1;
            }
            product
        }
        fn substitute(byte: u8) -> u8 {
            let inverse = (0..=255_u8).find(|candidate| multiply(byte, *candidate) == 1).unwrap_or(0);
            (0..8).fold(0, |out, bit| {
                let parity = [0, 4, 5, 6, 7].iter().fold(0, |p, shift| p ^ (inverse >> ((bit + shift) % 8)) & 1);
                out | (parity ^ (0x63 >> bit) & 1) << bit
            })
        }
        let bytes = state.to_le_bytes().map(substitute);
        let mut out = [0; 16];
        for column in 0..4 {
            for row in 0..4 {
                for (term, factor) in [2, 3, 1, 1].iter().enumerate() {
                    let from = (row + term) % 4;
                    out[4 * column + row] ^= multiply(bytes[4 * ((column + from) % 4) + from], *factor);
                }
            }
        }
        u128::from_le_bytes(out) ^ key
    }

    fn permute(keys: &[u128], block: u128) -> u128 {
        keys.iter().fold(block, |block, key| round(block, *key))
    }

    pub(super) fn row(seed: &Seed, values: &[(&str, Value)]) -> u128 {
        let mut state = 0;
        for (name, value) in values {
            let keys = ColumnKeys::new(seed, name);
            state ^= match value {
                Value::Null => keys.starts[0],
                Value::Block(class, payload) => permute(&keys.rounds, keys.starts[*class as usize] ^ keys.last ^ payload),
                Value::Bytes(class, bytes) => {
                    let mut block = keys.starts[*class as usize];
                    let whole = bytes.len() / 16;
                    for part in 0..whole {
                        block = permute(&keys.rounds, block ^ u128::from_le_bytes(bytes[16 * part..16 * part + 16].try_into().unwrap()));
                    }
                    let mut rest = [0; 16];
                    let left = bytes.len() - 16 * whole;
                    rest[..left].copy_from_slice(&bytes[16 * whole..]);
                    rest[15] = left as u8;
                    permute(&keys.rounds, block ^ keys.last ^ u128::from_le_bytes(rest))
                }
            };
        }
        permute(&seed.blocks::<5>(b'f', b"row"), state)
    }
}

use reference::Value;

#[test]
fn both_paths_compute_what_the_definition_says() {
    let seed = Seed::default();
    let mut rng = StdRng::seed_from_u64(4);
    let texts: Vec<Option<String>> = (0..120)
        .map(|at| (at % 7 != 3).then(|| (0..rng.random_range(0..60)).map(|_| char::from(rng.random_range(b' '..b'~'))).collect()))
        .collect();
    let numbers: Vec<Option<i64>> = (0..120).map(|at| (at % 5 != 1).then(|| rng.random())).collect();
    let floats: Vec<f64> = (0..120).map(|at| if at % 9 == 0 { -0.0 } else { rng.random::<f64>() * 1e9 }).collect();
    let arrays: [ArrayRef; 3] = [
        Arc::new(StringArray::from(texts.clone())),
        Arc::new(Int64Array::from(numbers.clone())),
        Arc::new(Float64Array::from(floats.clone())),
    ];
    for hashing in [RowHashing::new(&seed, &["t", "n", "f"]), RowHashing::new(&seed, &["t", "n", "f"]).portable()] {
        let mut states = vec![0; 120];
        // In another order than the columns': it does not matter.
        for column in [2, 0, 1] {
            hashing.absorb(column, arrays[column].as_ref(), &mut states).unwrap();
        }
        hashing.finish_rows(&mut states);
        for row in 0..120 {
            let value = |known: bool, value: Value| if known { value } else { Value::Null };
            let text = value(texts[row].is_some(), Value::Bytes(Class::Text, texts[row].clone().unwrap_or_default().into_bytes()));
            let number = i128::from(numbers[row].unwrap_or_default()) * 10_i128.pow(18);
            let number = value(numbers[row].is_some(), Value::Block(Class::Exact, number as u128));
            let float = Value::Block(Class::Float, u128::from((floats[row] + 0.0).to_bits()));
            assert_eq!(states[row], reference::row(&seed, &[("n", number), ("f", float), ("t", text)]), "row {row}");
        }
    }
}

#[test]
fn golden() {
    // Pinned: a change here is a new version of the checksum.
    let arrays: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(NullArray::new(1)), "NULL"),
        (Arc::new(BooleanArray::from(vec![false])), "false"),
        (Arc::new(Int64Array::from(vec![0])), "0"),
        (Arc::new(Int64Array::from(vec![-5])), "-5"),
        (Arc::new(Decimal128Array::from(vec![12_345]).with_precision_and_scale(10, 2).unwrap()), "123.45"),
        (Arc::new(Decimal128Array::from(vec![i128::from(i64::MAX) << 60]).with_precision_and_scale(38, 0).unwrap()), "wide"),
        (Arc::new(Float64Array::from(vec![0.1])), "0.1"),
        (Arc::new(StringArray::from(vec![""])), "''"),
        (Arc::new(StringArray::from(vec!["sixteen bytes ok"])), "16 bytes"),
        (Arc::new(BinaryArray::from(vec![&b"\x00\x01"[..]])), "binary"),
        (Arc::new(TimestampMicrosecondArray::from(vec![1_700_000_000_000_000])), "instant"),
        (Arc::new(Date32Array::from(vec![19_000])), "date"),
    ];
    let shown: Vec<String> = arrays.iter().map(|(array, what)| format!("{what}: {:032x}", hashes(array)[0])).collect();
    let expected = [
        "NULL: f96ad7a99686d5e4b3fc9d7e980fd89f",
        "false: 30b260c1cc8a7417a70bc1ec9c4161e4",
        "0: 09d645353c3500864b96bd6ab994011e",
        "-5: a1584cd3f688ed2bbfc9c0f056e25a19",
        "123.45: 95f69234b1cbcfe634766a613636e4e8",
        "wide: 0ccca7f3e0cb00f1ec042a61fbb85910",
        "0.1: 8bfacb5ceee38e14a1eeab048082fec9",
        "'': 66de478ab5c11061c78a6d04105e5e13",
        "16 bytes: be52dc980f80c047bd63b46245d71a85",
        "binary: d53f0e25053dbee0d76ce5dc9be5d6cf",
        "instant: 1994ede55b48c27d97effcbc6318fd42",
        "date: 90b117f2abb208767e2d1deb5c29be07",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_value_has_one_checksum_in_every_physical_form() {
    let same = |arrays: Vec<ArrayRef>| {
        let first = hashes(arrays[0].as_ref());
        for array in &arrays {
            assert_eq!(hashes(array.as_ref()), first, "{}", array.data_type());
            // A slice hashes as the rows that it shows.
            assert_eq!(hashes(array.slice(1, array.len() - 1).as_ref()), first[1..], "a slice of {}", array.data_type());
        }
    };
    let words = vec![Some("a"), None, Some("a text of more than twelve bytes"), Some(""), Some("exactly_16_bytes"), Some("a")];
    same(vec![
        Arc::new(StringArray::from(words.clone())),
        Arc::new(LargeStringArray::from(words.clone())),
        Arc::new(StringViewArray::from(words.clone())),
        Arc::new(words.iter().copied().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(words.iter().copied().collect::<DictionaryArray<UInt8Type>>()),
        Arc::new(words.iter().copied().collect::<RunArray<Int32Type>>()),
    ]);
    same(vec![
        Arc::new(Int8Array::from(vec![Some(5), None, Some(-7)])),
        Arc::new(Int64Array::from(vec![Some(5), None, Some(-7)])),
        Arc::new(Decimal32Array::from(vec![Some(500), None, Some(-700)]).with_precision_and_scale(5, 2).unwrap()),
        Arc::new(Decimal64Array::from(vec![Some(50), None, Some(-70)]).with_precision_and_scale(12, 1).unwrap()),
        Arc::new(Decimal128Array::from(vec![Some(5_000_000), None, Some(-7_000_000)]).with_precision_and_scale(38, 6).unwrap()),
        Arc::new(
            Decimal256Array::from(vec![Some(i256::from_i128(5_000)), None, Some(i256::from_i128(-7_000))])
                .with_precision_and_scale(60, 3)
                .unwrap(),
        ),
    ]);
    // Too many digits for a block as well, and with zeros before the point.
    let wide = 123_456_789_012_345_678_901_234_567_890_i128;
    same(vec![
        Arc::new(Decimal128Array::from(vec![wide, wide]).with_precision_and_scale(38, 0).unwrap()),
        Arc::new(Decimal128Array::from(vec![wide * 100, wide * 100]).with_precision_and_scale(38, 2).unwrap()),
        Arc::new(Decimal256Array::from(vec![i256::from_i128(wide * 100); 2]).with_precision_and_scale(60, 2).unwrap()),
        Arc::new(Decimal128Array::from(vec![wide / 10; 2]).with_precision_and_scale(38, -1).unwrap()),
    ]);
    same(vec![
        Arc::new(Decimal128Array::from(vec![wide / 10 * 1_000; 2]).with_precision_and_scale(38, 2).unwrap()),
        Arc::new(Decimal128Array::from(vec![wide / 10; 2]).with_precision_and_scale(38, -1).unwrap()),
    ]);
    same(vec![
        Arc::new(UInt64Array::from(vec![u64::MAX, 1])),
        Arc::new(Decimal128Array::from(vec![i128::from(u64::MAX), 1]).with_precision_and_scale(20, 0).unwrap()),
    ]);
    same(vec![
        Arc::new(TimestampSecondArray::from(vec![-1, 1_700_000_000])),
        Arc::new(TimestampMillisecondArray::from(vec![-1_000, 1_700_000_000_000]).with_timezone("Europe/Berlin")),
        Arc::new(TimestampMicrosecondArray::from(vec![-1_000_000, 1_700_000_000_000_000])),
        Arc::new(TimestampNanosecondArray::from(vec![-1_000_000_000, 1_700_000_000_000_000_000])),
        Arc::new(Date64Array::from(vec![-1_000, 1_700_000_000_000])),
    ]);
    same(vec![Arc::new(Time32SecondArray::from(vec![1, 2])), Arc::new(Time64NanosecondArray::from(vec![1_000_000_000, 2_000_000_000]))]);
    same(vec![Arc::new(Float32Array::from(vec![0.0, f32::NAN])), Arc::new(Float64Array::from(vec![-0.0, -f64::NAN]))]);
    let bytes: Vec<&[u8]> = vec![b"0123456789abcdef", b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"];
    same(vec![
        Arc::new(BinaryArray::from(bytes.clone())),
        Arc::new(BinaryViewArray::from(bytes.clone())),
        Arc::new(FixedSizeBinaryArray::try_from_iter(bytes.iter()).unwrap()),
    ]);
    let list = |numbers: Vec<Option<Vec<Option<i32>>>>| ListArray::from_iter_primitive::<Int32Type, _, _>(numbers);
    let lists = list(vec![Some(vec![Some(1), None]), None, Some(vec![])]);
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let places = Int8Array::from(vec![0, 1, 2]);
    same(vec![
        Arc::new(lists.clone()),
        cast(&lists, &DataType::LargeList(item.clone())).unwrap(),
        cast(&lists, &DataType::ListView(item)).unwrap(),
        Arc::new(DictionaryArray::<Int8Type>::new(places, Arc::new(lists.clone()))),
        Arc::new(RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 2, 3]), &lists).unwrap()),
    ]);
    // More distinct values than rows: they are unpacked, not hashed one by one.
    let many = list((0..9).map(|at| Some(vec![Some(at)])).collect());
    let some = DictionaryArray::<Int8Type>::new(Int8Array::from(vec![Some(3), None, Some(8)]), Arc::new(many));
    same(vec![Arc::new(list(vec![Some(vec![Some(3)]), None, Some(vec![Some(8)])])), Arc::new(some)]);
    let fields = Fields::from(vec![Field::new("x", DataType::Int32, true)]);
    let structs = StructArray::new(fields, vec![Arc::new(Int32Array::from(vec![1, 2, 3]))], None);
    same(vec![Arc::new(structs)]);
}

#[test]
fn what_differs_has_different_checksums() {
    let texts = ["", " ", "0", "NULL", "<null>", "a", "b", "ab", "a\0", "a\0\0", "fifteen bytes ok", "sixteen bytes ok!", "\0", "\0\0"];
    let mut all: Vec<u128> = Vec::new();
    all.extend(hashes(&StringArray::from(texts.to_vec())));
    all.extend(hashes(&BinaryArray::from(texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>())));
    for length in 0..70 {
        // Zeros of every length, and with the length where it would be written.
        all.extend(hashes(&BinaryArray::from(vec![&vec![0_u8; length + 3][..]])));
        let mut bytes = vec![0_u8; length];
        bytes.push(length as u8 + 1);
        all.extend(hashes(&StringArray::from(vec![String::from_utf8(bytes).unwrap()])));
    }
    all.extend(hashes(&NullArray::new(1)));
    all.extend(hashes(&BooleanArray::from(vec![true, false])));
    all.extend(hashes(&Int64Array::from(vec![0, 1, -1, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1])));
    all.extend(hashes(&Decimal128Array::from(vec![1, 10, 100_001]).with_precision_and_scale(20, 5).unwrap()));
    all.extend(hashes(&Float64Array::from(vec![0.0, 1.0, 0.1, 0.1 + 0.2, 0.3, f64::NAN, f64::INFINITY])));
    all.extend(hashes(&TimestampSecondArray::from(vec![0, 1])));
    all.extend(hashes(&Date32Array::from(vec![0, 1])));
    all.extend(hashes(&Time32SecondArray::from(vec![0, 1])));
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    // "\0\0\0" as binary twice: once of the texts' kin, once of the zeros.
    assert_eq!(all.len(), count);
}

/// Many rows, so that every path meets whole groups of rows and what is left over from them.
#[test]
fn all_paths_agree_on_many_rows() {
    let mut rng = StdRng::seed_from_u64(12);
    for rows in [1, 3, 63, 64, 65, 255, 256, 257, 1_001] {
        let texts: Vec<Option<String>> = (0..rows)
            .map(|_| rng.random_bool(0.9).then(|| "abcdefghij".repeat(16).chars().take(rng.random_range(0..150)).collect()))
            .collect();
        let numbers: Vec<i64> = (0..rows).map(|_| rng.random()).collect();
        let decimals: Vec<i64> = numbers.iter().map(|number| number >> rng.random_range(0..60)).collect();
        let strings = hashes(&StringArray::from(texts.clone()));
        assert_eq!(strings, hashes(&StringViewArray::from_iter(texts.iter().map(Option::as_deref))));
        for (row, text) in texts.iter().enumerate() {
            assert_eq!(strings[row], hashes(&StringArray::from(vec![text.clone()]))[0], "row {row} of {rows}");
        }
        let whole = hashes(&Int64Array::from(numbers.clone()));
        assert_eq!(whole[rows - 1], hashes(&Int64Array::from(vec![numbers[rows - 1]]))[0]);
        for scale in [-3, 0, 2, 18] {
            let narrow = Decimal64Array::from(decimals.clone()).with_precision_and_scale(18, scale).unwrap();
            let wide = Decimal128Array::from_iter_values(decimals.iter().map(|value| i128::from(*value)));
            assert_eq!(hashes(&narrow), hashes(&wide.with_precision_and_scale(38, scale).unwrap()), "{rows} rows at scale {scale}");
        }
        hashes(&BooleanArray::from_iter(numbers.iter().map(|number| (number % 5 != 0).then_some(number % 2 == 0))));
        hashes(&TimestampMicrosecondArray::from_iter(numbers.iter().map(|number| (number % 5 != 0).then_some(*number))));
    }
}

/// Numbers of all sizes and scales: the same value has the same checksum, and only the same value has it. The pairs at the end are
/// those that a checksum would confuse which kept a multiple of the value modulo 2^128.
#[test]
fn numbers_have_one_checksum_each() {
    let decimal = |coefficient: i128, scale: i8| -> u128 {
        let narrow = Decimal128Array::from(vec![coefficient]).with_precision_and_scale(38, scale).unwrap();
        let sum = hashes(&narrow)[0];
        let wide = Decimal256Array::from(vec![i256::from_i128(coefficient)]).with_precision_and_scale(76, scale).unwrap();
        assert_eq!(hashes(&wide)[0], sum, "{coefficient} at scale {scale}");
        sum
    };
    let mut seen: std::collections::HashMap<u128, (i128, i16)> = std::collections::HashMap::new();
    let mut note = |coefficient: i128, scale: i8| {
        let sum = decimal(coefficient, scale);
        // Without zeros at the end, whichever side of the point they are on.
        let (mut plain, mut places) = (coefficient, i16::from(scale));
        while plain != 0 && plain % 10 == 0 {
            (plain, places) = (plain / 10, places - 1);
        }
        let value = (plain, if plain == 0 { 0 } else { places });
        assert_eq!(*seen.entry(sum).or_insert(value), value, "{coefficient} at scale {scale}");
    };
    let mut rng = StdRng::seed_from_u64(38);
    let ten = |power: u32| 10_i128.pow(power);
    for _ in 0..400 {
        let bits = rng.random_range(0..126);
        let (coefficient, scale) = (rng.random::<i128>() >> (127 - bits), rng.random_range(-8..=38));
        note(coefficient, scale);
        for zeros in 1..38 {
            // The same value again, as long as its digits fit.
            let Some(more) = coefficient.checked_mul(ten(zeros)) else { break };
            if let Some(finer) = scale.checked_add(zeros as i8).filter(|finer| *finer <= 38) {
                note(more, finer);
            }
        }
    }
    for edge in [i128::MAX, i128::MIN, i128::MAX / ten(18), ten(20), ten(20) - 1, 1 << 89, 1 << 92, 0] {
        for scale in [-8, 0, 2, 17, 18, 19, 38] {
            for near in -2..=2 {
                note(edge.saturating_add(near), scale);
            }
        }
    }
    assert_ne!(decimal(4, 2), decimal((1 << 92) + 4, 2));
    assert_ne!(decimal(1, 0), decimal(1 + (1 << 90), 0));
    // The same number of 10^-38, but for a multiple of 2^128.
    let inverse = (0..7).fold(1_i128, |x, _| {
        let odd = 5_i128.wrapping_pow(38);
        x.wrapping_mul(2_i128.wrapping_sub(odd.wrapping_mul(x)))
    });
    let whole = inverse & ((1 << 90) - 1);
    assert_ne!(decimal(whole, 0), decimal(1 << 38, 38));
}

#[test]
fn numbers_beyond_128_bits_keep_their_value() {
    let wide = |text: &str, scale: i8| -> u128 {
        let coefficient = i256::from_string(text).unwrap();
        hashes(&Decimal256Array::from(vec![coefficient]).with_precision_and_scale(76, scale).unwrap())[0]
    };
    let digits = "1234567890123456789012345678901234567890123456789";
    assert_eq!(wide(digits, 30), wide(&format!("{digits}00000"), 35));
    assert_eq!(wide(digits, 0), wide(&format!("{digits}00000"), 5));
    assert_eq!(wide(&format!("{digits}000"), 0), wide(digits, -3));
    assert_ne!(wide(digits, 30), wide(digits, 31));
    assert_ne!(wide(digits, 30), wide(&format!("-{digits}"), 30));
    // Many digits that are zeros: the value fits a block.
    let seven = hashes(&Int64Array::from(vec![7]))[0];
    assert_eq!(wide(&format!("7{}", "0".repeat(60)), 60), seven);
    assert_eq!(wide("0", 60), hashes(&Int64Array::from(vec![0]))[0]);
}

fn sum(columns: &[(&str, ArrayRef)]) -> u128 {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let hashing = RowHashing::new(&Seed::default(), &names);
    let mut states = vec![0; columns[0].1.len()];
    for (place, (_, array)) in columns.iter().enumerate() {
        hashing.absorb(place, array.as_ref(), &mut states).unwrap();
    }
    hashing.finish_rows(&mut states);
    states.iter().fold(0, |all: u128, row| all.wrapping_add(*row))
}

#[test]
fn sums_see_what_linear_hashes_miss() {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
    let values = |shift: i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..1_000).map(|v| v * 17 + shift))) };
    let before = sum(&[("id", ids.clone()), ("v", values(0))]);
    assert_eq!(before, sum(&[("v", values(0)), ("id", ids.clone())]), "the order of columns does not matter");
    assert_ne!(before, sum(&[("id", ids.clone()), ("v", values(3_600))]), "all values moved");
    assert_ne!(before, sum(&[("v", ids.clone()), ("id", values(0))]), "columns changed places");
    let mut swapped: Vec<i64> = (0..1_000).map(|v| v * 17).collect();
    swapped.swap(3, 900);
    assert_ne!(before, sum(&[("id", ids.clone()), ("v", Arc::new(Int64Array::from(swapped)))]), "two rows swapped a value");
    assert_ne!(before, sum(&[("id", ids), ("v", Arc::new(Int64Array::from(vec![7; 1_000])))]), "one column was overwritten");
    let pair = |a: &str, b: &str| -> u128 {
        sum(&[("a", Arc::new(StringArray::from(vec![a])) as ArrayRef), ("b", Arc::new(StringArray::from(vec![b])) as ArrayRef)])
    };
    assert_ne!(pair("a", "bc"), pair("ab", "c"));
    assert_ne!(pair("a|b", "c"), pair("a", "b|c"));
    assert_ne!(pair("1", "11"), pair("11", "1"));
}

#[test]
fn every_bit_of_a_row_moves_every_bit_of_its_checksum() {
    let hashing = RowHashing::new(&Seed::default(), &["a", "b", "c"]);
    let rows = 4_000;
    let mut rng = StdRng::seed_from_u64(9);
    let a: Vec<i64> = (0..rows).map(|_| rng.random()).collect();
    let b: Vec<i64> = (0..rows).collect();
    let c: Vec<String> = (0..rows).map(|row| format!("a text of some length, number {row:08}")).collect();
    let hash = |a: &[i64], b: &[i64], c: &[String]| {
        let mut states = vec![0; a.len()];
        hashing.absorb(0, &Int64Array::from(a.to_vec()), &mut states).unwrap();
        hashing.absorb(1, &Int64Array::from(b.to_vec()), &mut states).unwrap();
        hashing.absorb(2, &StringArray::from(c.to_vec()), &mut states).unwrap();
        hashing.finish_rows(&mut states);
        states
    };
    let before = hash(&a, &b, &c);
    let check = |what: &str, after: Vec<u128>| {
        for bit in 0..128 {
            let flips = before.iter().zip(&after).filter(|(x, y)| (*x ^ *y) >> bit & 1 == 1).count();
            // Six standard deviations around a half.
            assert!(flips.abs_diff(2_000) < 190, "{what}: bit {bit} flips {flips} times in 4000");
        }
    };
    for bit in (0..64).step_by(7) {
        check("a", hash(&a.iter().map(|v| v ^ 1 << bit).collect::<Vec<_>>(), &b, &c));
        check("b", hash(&a, &b.iter().map(|v| v ^ 1 << bit).collect::<Vec<_>>(), &c));
    }
    check("c", hash(&a, &b, &c.iter().map(|text| text.replacen('a', "b", 1)).collect::<Vec<_>>()));
    check("both", hash(&a.iter().map(|v| v ^ 1).collect::<Vec<_>>(), &b.iter().map(|v| v ^ 1).collect::<Vec<_>>(), &c));
}

/// How many rows the tests of quality take: few in a normal run, `GAPLESS_QUALITY_ROWS` where their figures are reported.
fn quality_rows(few: usize) -> usize {
    std::env::var("GAPLESS_QUALITY_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(few)
}

#[expect(clippy::print_stdout, reason = "figures for docs/encoding.md")]
fn report(line: &str) {
    println!("{line}");
}

/// The avalanche of every type: one bit of a value flips each bit of the checksum in half of all rows.
#[test]
fn every_bit_of_a_value_of_every_type_moves_every_bit() {
    let rows = quality_rows(1_200).min(20_000);
    let mut rng = StdRng::seed_from_u64(2_026);
    let words: Vec<u128> = (0..rows).map(|_| rng.random()).collect();
    let bytes_of = |words: &[u128], length: usize| -> ArrayRef {
        // A word and what follows from it, so that rows differ in all bytes.
        let long = |word: &u128| -> Vec<u8> { (0..4).flat_map(|part| word.rotate_left(17 * part).to_le_bytes()).take(length).collect() };
        Arc::new(BinaryArray::from_iter_values(words.iter().map(long)))
    };
    type Make<'a> = Box<dyn Fn(&[u128]) -> ArrayRef + 'a>;
    let decimal = |scale: i8| -> Make<'_> {
        Box::new(move |words| {
            let coefficients = words.iter().map(|word| (*word as i128) >> 2);
            Arc::new(Decimal128Array::from_iter_values(coefficients).with_precision_and_scale(38, scale).unwrap())
        })
    };
    let types: Vec<(&str, u32, Make<'_>)> = vec![
        ("boolean", 1, Box::new(|words| Arc::new(BooleanArray::from_iter(words.iter().map(|word| Some(word & 1 == 1)))))),
        ("int8", 8, Box::new(|words| Arc::new(Int8Array::from_iter_values(words.iter().map(|word| *word as i8))))),
        ("int64", 64, Box::new(|words| Arc::new(Int64Array::from_iter_values(words.iter().map(|word| *word as i64))))),
        // Numbers from 1 to 2, before a bit is changed.
        (
            "float64",
            63,
            Box::new(|words| {
                let bits = words.iter().map(|word| (*word as u64 & !(0xfff << 52) | 0x3ff << 52) ^ (*word >> 64) as u64);
                Arc::new(Float64Array::from_iter_values(bits.map(f64::from_bits)))
            }),
        ),
        // Their upper bits need another form than a single block.
        ("decimal(38,2)", 126, decimal(2)),
        ("decimal(38,18)", 126, decimal(18)),
        ("decimal(38,30)", 126, decimal(30)),
        ("timestamp", 64, Box::new(|words| Arc::new(TimestampMicrosecondArray::from_iter_values(words.iter().map(|word| *word as i64))))),
        ("date", 32, Box::new(|words| Arc::new(Date32Array::from_iter_values(words.iter().map(|word| *word as i32))))),
        (
            "list",
            32,
            Box::new(|words| {
                let items = words.iter().map(|word| Some(vec![Some(*word as i32), None]));
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(items))
            }),
        ),
        (
            "NULL or not",
            1,
            Box::new(|words| Arc::new(words.iter().map(|word| (word & 1 == 1).then_some((*word >> 1) as i64)).collect::<Int64Array>())),
        ),
        ("1 byte", 8, Box::new(|words| bytes_of(words, 1))),
        ("15 bytes", 120, Box::new(|words| bytes_of(words, 15))),
        ("16 bytes", 128, Box::new(|words| bytes_of(words, 16))),
        // The first and the last of their blocks change at once.
        ("40 bytes", 128, Box::new(|words| bytes_of(words, 40))),
    ];
    let deviation = (rows as f64).sqrt() / 2.0;
    let (mut cells, mut squares, mut worst) = (0_u64, 0.0, 0.0_f64);
    for (what, bits, make) in &types {
        // A float's bits that are flipped ride in the upper half of its word; other types are flipped where they are.
        let (base, lift): (Vec<u128>, u32) =
            if *what == "float64" { (words.iter().map(|word| word & u128::from(u64::MAX)).collect(), 64) } else { (words.clone(), 0) };
        let lift = if what.starts_with("decimal") { 2 } else { lift };
        // Where a type has few values, each row has another number beside it, or there would be few checksums to look at.
        let beside = (*bits <= 8).then(|| Int64Array::from_iter_values(words.iter().map(|word| (*word >> 64) as i64)));
        let hashes = |words: &[u128]| -> Vec<u128> {
            let hashing = RowHashing::new(&Seed::default(), &["v", "beside"]);
            let mut states = vec![0; words.len()];
            hashing.absorb(0, make(words).as_ref(), &mut states).unwrap();
            if let Some(beside) = &beside {
                hashing.absorb(1, beside, &mut states).unwrap();
            }
            hashing.finish_rows(&mut states);
            states
        };
        let before = hashes(&base);
        let mut worst_here = 0.0_f64;
        for bit in 0..*bits {
            let changed: Vec<u128> = base.iter().map(|word| word ^ 1 << (bit + lift)).collect();
            let after = hashes(&changed);
            let mut flips = [0_u32; 128];
            for (x, y) in before.iter().zip(&after) {
                let mut differ = x ^ y;
                while differ != 0 {
                    flips[differ.trailing_zeros() as usize] += 1;
                    differ &= differ - 1;
                }
            }
            for count in flips {
                let z = (f64::from(count) - rows as f64 / 2.0) / deviation;
                (cells, squares, worst_here) = (cells + 1, squares + z * z, worst_here.max(z.abs()));
            }
        }
        report(&format!("avalanche of {what}: {bits} x 128 bits, {rows} rows, worst {worst_here:.2} standard deviations"));
        worst = worst.max(worst_here);
    }
    let excess = (squares - cells as f64) / (2.0 * cells as f64).sqrt();
    report(&format!(
        "avalanche of all: {cells} pairs of bits, worst {worst:.2}, sum of squares {excess:+.2} standard deviations from its mean"
    ));
    assert!(worst < 6.0 && excess.abs() < 6.0, "worst {worst}, excess {excess}");
}

/// Rows of three columns as tables hold them: alike but for a little. All rows of all kinds differ.
fn structured(kind: usize, rows: std::ops::Range<i64>) -> [ArrayRef; 3] {
    let whole = |value: &dyn Fn(i64) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.clone().map(value))) };
    let times = |shift: i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.clone().map(|row| 1_700_000_000_000_000 + row * 1_000_000 + shift)))
    };
    let (counter, slow) = (whole(&|row| row), whole(&|row| row / 1_000));
    match kind {
        0 => [counter, slow, times(0)],
        // The second counter runs the other way.
        1 => [counter, whole(&|row| -row - 1), times(0)],
        // One hour later.
        2 => [counter, slow, times(3_600_000_000)],
        // One bit of one value.
        3 => [whole(&|row| row ^ 1 << (40 + row % 23)), slow, times(0)],
        // The first two columns have changed places; another time, since rows of equal values would be the same.
        4 => [slow, counter, times(1)],
        // The numbers as doubles, as text of one block and of two, and as decimals.
        5 => [Arc::new(Float64Array::from_iter_values(rows.clone().map(|row| row as f64 * 0.1))), slow, times(0)],
        6 => [Arc::new(StringArray::from_iter_values(rows.clone().map(|row| row.to_string()))), slow, times(0)],
        7 => [Arc::new(StringArray::from_iter_values(rows.clone().map(|row| format!("a device of a plant / {row}")))), slow, times(0)],
        _ => {
            let hundredths = Decimal128Array::from_iter_values(rows.clone().map(i128::from)).with_precision_and_scale(20, 2).unwrap();
            [Arc::new(hundredths), slow, times(2)]
        }
    }
}

const KINDS: usize = 9;

/// Checksums of structured rows, each half of them for itself, share their first bits no more often than by chance. Of n checksums cut
/// to b bits, n²/2^(b+1) pairs are expected to agree; equal rows would agree in all bits. `GAPLESS_QUALITY_ROWS` asks for more rows, at
/// nine bytes each; figures of 10^8 are in `docs/encoding.md`.
#[test]
fn structured_rows_do_not_collide() {
    let each = (quality_rows(300_000) / KINDS) as i64;
    let rows = each * KINDS as i64;
    let hashing = RowHashing::new(&Seed::default(), &["a", "b", "t"]);
    for (half, shift) in [("upper", 64), ("lower", 0)] {
        // By their first four bits, so that sorting needs little room of its own.
        let mut parts: Vec<Vec<u64>> = (0..16).map(|_| Vec::with_capacity(rows as usize / 16 + rows as usize / 400)).collect();
        for kind in 0..KINDS {
            for from in (0..each).step_by(8_192) {
                let columns = structured(kind, from..(from + 8_192).min(each));
                let mut states = vec![0; columns[0].len()];
                for (place, column) in columns.iter().enumerate() {
                    hashing.absorb(place, column.as_ref(), &mut states).unwrap();
                }
                hashing.finish_rows(&mut states);
                for state in states {
                    let word = (state >> shift) as u64;
                    parts[(word >> 60) as usize].push(word);
                }
            }
        }
        let widths = [64_u32, 48, 40, 36];
        let mut pairs = [0_u64; 4];
        for part in parts {
            // Arrow's sort is compiled with optimisation in every profile.
            let sorted = arrow::compute::sort(&UInt64Array::from(part), None).unwrap();
            let words = sorted.as_primitive::<UInt64Type>().values();
            for (width, pairs) in widths.iter().zip(&mut pairs) {
                let mut alike = 0;
                for two in words.windows(2) {
                    alike = if (two[0] ^ two[1]) >> (64 - width) == 0 { alike + 1 } else { 0 };
                    *pairs += alike;
                }
            }
        }
        for (width, pairs) in widths.into_iter().zip(pairs) {
            let expected = (rows as f64).powi(2) / 2_f64.powi(width as i32 + 1);
            report(&format!("{rows} structured rows, {half} half: {pairs} pairs agree in {width} bits, {expected:.4} expected"));
            let deviations = (pairs as f64 - expected).abs() / expected.max(1.0).sqrt();
            assert!(deviations < 5.0 && (pairs == 0 || expected > 0.01), "{pairs} of {rows} rows in {width} bits, {expected:.4} expected");
        }
    }
}
