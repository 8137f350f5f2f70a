//! The canonical encoding and what is built on it: golden vectors, and a recomputation by somebody else.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, LargeStringArray, ListArray, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampSecondArray,
};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use gapless::domain::{CHECKSUM_DEFINITION, Checksum, ENCODING_VERSION, RowHashing, Seed, encode_column_name, encoders};

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
    let float = encoding(vec![("f", Arc::new(Float64Array::from(vec![-0.0])))]);
    assert_eq!(hex(&float), "010100000066040000000000000000");
    let time = encoding(vec![("t", Arc::new(TimestampMicrosecondArray::from(vec![-1])))]);
    assert_eq!(hex(&time), "01010000007407ffffffffffffffff18c69a3b");
}

/// Row and key checksums of a batch.
fn checksums(hashing: &RowHashing, batch: &RecordBatch, key: &[&str]) -> Vec<[u128; 2]> {
    let (mut rows, mut keys) = (vec![0; batch.num_rows()], vec![0; batch.num_rows()]);
    for (place, (field, array)) in batch.schema().fields().iter().zip(batch.columns()).enumerate() {
        hashing.absorb(place, array.as_ref(), &mut rows).unwrap();
        if key.contains(&field.name().as_str()) {
            hashing.absorb(place, array.as_ref(), &mut keys).unwrap();
        }
    }
    hashing.finish_rows(&mut rows);
    hashing.finish_keys(&mut keys);
    rows.into_iter().zip(keys).map(|(row, key)| [row, key]).collect()
}

fn one_row(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// The vectors of `docs/encoding.md`: a change here is a new version of the checksum.
#[test]
fn golden_checksums() {
    assert!(CHECKSUM_DEFINITION.starts_with("gapless-checksum/2:"), "{CHECKSUM_DEFINITION}");
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let first = one_row(vec![("a", Arc::new(Int64Array::from(vec![5]))), ("b", text(Some("x"))), ("c", text(None))]);
    let long = "forty bytes of text, which is two blocks";
    let decimal: ArrayRef = Arc::new(Decimal128Array::from(vec![-12_345]).with_precision_and_scale(10, 2).unwrap());
    let fine: ArrayRef = Arc::new(Decimal128Array::from(vec![1]).with_precision_and_scale(38, 19).unwrap());
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_700_000_000_123_456]));
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None])]));
    let second = one_row(vec![
        ("d", decimal),
        ("e", fine),
        ("f", Arc::new(Float64Array::from(vec![0.1]))),
        ("l", list),
        ("s", text(Some(long))),
        ("t", time),
    ]);
    let counted: [u8; 32] = std::array::from_fn(|at| at as u8);
    let mut shown = Vec::new();
    for (batch, key) in [(&first, "a"), (&second, "t")] {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        for seed in [Seed::default(), Seed::from(counted)] {
            let hashing = RowHashing::new(&seed, &names);
            let sums = checksums(&hashing, batch, &[key]);
            assert_eq!(sums, checksums(&hashing.portable(), batch, &[key]));
            shown.push(format!("{:032x} {:032x}", sums[0][0], sums[0][1]));
        }
    }
    let page = std::fs::read_to_string(super::outside::repository().join("docs/encoding.md")).unwrap();
    for (found, golden) in shown.iter().zip(GOLDEN_CHECKSUMS) {
        assert_eq!(found, golden, "all: {shown:#?}");
        assert!(golden.split(' ').all(|sum| page.contains(sum)), "{golden} is not in docs/encoding.md");
    }
    let row = checksums(&RowHashing::new(&Seed::default(), &["a", "b", "c"]), &first, &[])[0][0];
    let mut sum = Checksum::default();
    (0..3).for_each(|_| sum.add(row));
    assert_eq!((sum.rows, sum.sum), (3, row.wrapping_mul(3)));
    assert!(page.contains(&sum.to_hex()), "{} is not in docs/encoding.md", sum.to_hex());
}

/// Row and key checksum of the two rows, each under the documented seed and under the bytes 0 to 31.
const GOLDEN_CHECKSUMS: [&str; 4] = [
    "6c242fd26048702e85daeecfa055daca b2d87ea7ab29b8ffcc81c89a3129b358",
    "a6385cfb2b81f6d68acbc549bbaab900 e8e2fa2d9666eeae96bc4a8e97936953",
    "212bd94b5394be380e5302375b1a19ae 1a7178c705cbfbce00e222a5b4cbdaf7",
    "6af6fe6fc36317c7c50fe4ee35ac4196 96e46c19b63af365aa18ee0665701bb5",
];

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

/// The batches of a file, with nothing of gapless in between.
fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = std::fs::File::open(path).unwrap();
    if path.extension().is_some_and(|suffix| suffix == "parquet") {
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        return reader.with_batch_size(37).build().unwrap().map(Result::unwrap).collect();
    }
    arrow::ipc::reader::FileReader::try_new(file, None).unwrap().map(Result::unwrap).collect()
}

/// Windows of a report: start in seconds, rows, checksum.
fn reported_windows(report: &Path, columns: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(["sql", &format!("SELECT to_unixtime(window_start), {columns} FROM windows ORDER BY window_start")])
        .args(["--format", "csv", "--report"])
        .arg(report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().skip(1).map(|line| line.replace(',', " ")).collect()
}

/// Checksums of rows, keys and windows, by a Python that follows the page: AES from its definition, BLAKE3 from PyPI.
#[test]
fn checksums_recomputed_outside_rust() {
    let python =
        |args: &[&OsStr]| -> Vec<String> { super::outside::run_python("checksum.py", args).lines().map(ToString::to_string).collect() };
    let directory = tempfile::tempdir().unwrap();
    let rows = "80";
    let secret = "8f1b".repeat(16);
    for (seed, suffix) in [("1", "arrow"), ("2", "arrow"), ("3", "parquet"), ("4", "parquet")] {
        let data = directory.path().join(format!("random-{seed}.{suffix}"));
        python(&["write".as_ref(), data.as_os_str(), "--seed".as_ref(), seed.as_ref(), "--rows".as_ref(), rows.as_ref()]);

        // Row by row, with two columns as the key, under the documented seed and a secret one.
        for given in [None, Some(secret.as_str())] {
            let mut args: Vec<&OsStr> = vec!["rows".as_ref(), data.as_os_str(), "--key".as_ref(), "id,text".as_ref()];
            let bytes = given.map(|hex| std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()));
            if let Some(hex) = given {
                args.extend([OsStr::new("--seed"), OsStr::new(hex)]);
            }
            let expected = python(&args);
            let mut found = Vec::new();
            for batch in batches(&data) {
                let schema = batch.schema();
                let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                let hashing = RowHashing::new(&bytes.map_or_else(Seed::default, Seed::from), &names);
                let sums = checksums(&hashing, &batch, &["id", "text"]);
                assert_eq!(sums, checksums(&hashing.portable(), &batch, &["id", "text"]), "the portable path");
                found.extend(sums.iter().map(|[row, key]| format!("{row:032x} {key:032x}")));
            }
            assert_eq!(found.len(), expected.len());
            for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found, expected, "row {row} of {}", data.display());
            }
        }

        // What a run reports.
        let mut args: Vec<&OsStr> = vec!["windows".as_ref(), data.as_os_str()];
        args.extend(["--time", "ts", "--window", "1h"].map(OsStr::new));
        let expected = python(&args);
        let report = directory.path().join(format!("report-{seed}"));
        let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
            .arg("verify")
            .arg(&data)
            .args(["--key", "id", "--time", "ts", "--window", "1h", "--quiet", "--report"])
            .arg(&report)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(expected.len() > 3);
        assert_eq!(reported_windows(&report, "original_rows, original_checksum"), expected, "{}", data.display());
    }
}

/// The same rows as an Arrow file and as Parquet: columns in other types, one checksum.
#[test]
fn checksums_do_not_depend_on_the_format() {
    let directory = tempfile::tempdir().unwrap();
    let (arrow, parquet) = (directory.path().join("rows.arrow"), directory.path().join("rows.parquet"));
    for file in [&arrow, &parquet] {
        let args = [OsStr::new("write"), file.as_os_str(), OsStr::new("--seed"), OsStr::new("9"), OsStr::new("--rows"), OsStr::new("90")];
        super::outside::run_python("checksum.py", &args);
    }
    let report = directory.path().join("report");
    let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .arg("verify")
        .args([&arrow, &parquet])
        .args(["--key", "id", "--time", "ts", "--window", "1h", "--quiet", "--report"])
        .arg(&report)
        // What Parquet has no type for.
        .args(["--ignore", "runs,dictionary with NULL,date64,duration s,duration ns,interval,fixed list,durations"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let original = reported_windows(&report, "original_rows, original_checksum");
    assert!(original.len() > 3);
    assert_eq!(original, reported_windows(&report, "backfill_rows, backfill_checksum"));
}

/// Two decimals that differ by 2^92 hundredths: a checksum that kept a multiple of the value modulo 2^128 took them for one.
#[test]
fn decimals_that_agree_in_their_low_bits_are_different() {
    let directory = tempfile::tempdir().unwrap();
    for (name, coefficient) in [("original", 4_i128), ("backfill", (1 << 92) + 4)] {
        let batch = one_row(vec![
            ("id", Arc::new(Int64Array::from(vec![1]))),
            ("v", Arc::new(Decimal128Array::from(vec![coefficient]).with_precision_and_scale(38, 2).unwrap())),
        ]);
        let file = std::fs::File::create(directory.path().join(name).with_extension("parquet")).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .current_dir(directory.path())
        .args(["verify", "original.parquet", "backfill.parquet", "--key", "id", "--report", "report"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("'v' is 0.04 on the original and 49517601571415210995964969.00 on the backfill"), "{text}");
}
