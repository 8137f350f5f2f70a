//! The canonical encoding and what is built on it: golden vectors, and a recomputation by somebody else.

use std::process::Command;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, LargeStringArray, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampSecondArray,
};
use arrow::record_batch::RecordBatch;
use gapless::domain::{Checksum, ENCODING_VERSION, RowHashing, Seed, encode_column_name, encoders};

fn encoding(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let mut out = vec![ENCODING_VERSION];
    for encoder in encoders(&batch).unwrap() {
        encode_column_name(encoder.name(), &mut out);
        encoder.encode(0, &mut out);
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn five_x_null() -> Vec<u8> {
    encoding(vec![
        ("c", Arc::new(StringArray::from(vec![None::<&str>]))),
        ("a", Arc::new(Int64Array::from(vec![5]))),
        ("b", Arc::new(StringArray::from(vec!["x"]))),
    ])
}

#[test]
fn golden_vectors() {
    assert_eq!(hex(&five_x_null()), "010100000061020005000000000000000000000000000000010000006205010000000000000078010000006300");
    let hashing = RowHashing::new(&Seed::default(), &["a", "b", "c"]);
    let mut states = [0];
    hashing.absorb(0, &Int64Array::from(vec![5]), &mut states).unwrap();
    hashing.absorb(1, &StringArray::from(vec!["x"]), &mut states).unwrap();
    hashing.absorb(2, &StringArray::from(vec![None::<&str>]), &mut states).unwrap();
    hashing.finish_rows(&mut states);
    assert_eq!(format!("{:032x}", states[0]), GOLDEN_CHECKSUM);
    let mut sum = Checksum::default();
    (0..3).for_each(|_| sum.add(states[0]));
    assert_eq!((sum.rows, sum.sum), (3, states[0].wrapping_mul(3)));
    let float = encoding(vec![("f", Arc::new(Float64Array::from(vec![-0.0])))]);
    assert_eq!(hex(&float), "010100000066040000000000000000");
    let time = encoding(vec![("t", Arc::new(TimestampMicrosecondArray::from(vec![-1])))]);
    assert_eq!(hex(&time), "01010000007407ffffffffffffffff18c69a3b");
}

const GOLDEN_CHECKSUM: &str = "6a26fe7bfb45efaa14f88e0b989f6399";

#[test]
fn a_value_is_the_same_in_every_form() {
    let forms: Vec<Vec<ArrayRef>> = vec![
        vec![
            Arc::new(Int32Array::from(vec![500])),
            Arc::new(Int64Array::from(vec![500])),
            Arc::new(Decimal128Array::from(vec![50_000]).with_precision_and_scale(10, 2).unwrap()),
            Arc::new(Decimal128Array::from(vec![5]).with_precision_and_scale(10, -2).unwrap()),
        ],
        vec![
            Arc::new(StringArray::from(vec!["é"])),
            Arc::new(LargeStringArray::from(vec!["é"])),
            Arc::new(StringViewArray::from(vec!["é"])),
            arrow::compute::cast(
                &StringArray::from(vec!["é"]),
                &arrow::datatypes::DataType::Dictionary(
                    Box::new(arrow::datatypes::DataType::Int8),
                    Box::new(arrow::datatypes::DataType::Utf8),
                ),
            )
            .unwrap(),
        ],
        vec![
            Arc::new(TimestampSecondArray::from(vec![7])),
            Arc::new(TimestampMicrosecondArray::from(vec![7_000_000]).with_timezone("Europe/Berlin")),
        ],
    ];
    for group in forms {
        let all: Vec<Vec<u8>> = group.iter().map(|array| encoding(vec![("v", array.clone())])).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", group[0].data_type());
    }
    let boolean = encoding(vec![("v", Arc::new(BooleanArray::from(vec![false])))]);
    let null = encoding(vec![("v", Arc::new(BooleanArray::from(vec![None])))]);
    assert_ne!(boolean, null);
}

#[test]
fn a_dictionary_of_nulls_alone_has_no_values() {
    use arrow::array::{DictionaryArray, Int8Array};
    use arrow::datatypes::Int8Type;
    let keys = Int8Array::from(vec![None::<i8>]);
    let empty: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::new(keys, Arc::new(StringArray::from(Vec::<&str>::new()))));
    let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    assert_eq!(encoding(vec![("v", empty)]), encoding(vec![("v", null)]));
}

/// Python's hashlib, over the same file, from the public definition alone.
#[test]
fn digests_recomputed_outside_rust() {
    let python = super::outside::python();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data.csv");
    std::fs::write(
        &data,
        "id,ts,amount,name,ok\n1,2024-05-06T00:10:00Z,1.50,x,true\n2,2024-05-06T00:50:00Z,2.00,,false\n3,2024-05-06T01:10:00Z,-0.25,\"a,b\",\n",
    )
    .unwrap();
    let types = "id:int64,ts:timestamp,amount:decimal(10,2),name:text,ok:bool";
    for algorithm in ["sha256", "md5"] {
        let output = Command::new(&python)
            .arg(super::outside::repository().join("tests/python/digest.py"))
            .arg(&data)
            .args(["--columns", types, "--algorithm", algorithm, "--time", "ts", "--window", "1h"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let expected = String::from_utf8(output.stdout).unwrap();
        let report = directory.path().join(algorithm);
        let status = Command::new(env!("CARGO_BIN_EXE_gapless"))
            .arg("verify")
            .arg(&data)
            .args(["--key", "id", "--time", "ts", "--window", "1h", "--digest", algorithm, "--quiet"])
            .args(["--opt", &format!("columns={}", types.replace(",ts:timestamp", ""))])
            .arg("--report")
            .arg(&report)
            .output()
            .unwrap();
        assert_eq!(status.status.code(), Some(0), "{}", String::from_utf8_lossy(&status.stderr));
        let answer = Command::new(env!("CARGO_BIN_EXE_gapless"))
            .args([
                "sql",
                "SELECT window_start, original_rows, original_digest FROM windows ORDER BY window_start",
                "--format",
                "csv",
                "--report",
            ])
            .arg(&report)
            .output()
            .unwrap();
        let mut found = String::new();
        for line in String::from_utf8(answer.stdout).unwrap().lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            found.push_str(&format!("{algorithm} {} {} {}\n", cells[0].replace(' ', "T"), cells[1], cells[2]));
        }
        assert_eq!(found, expected);
    }
}
