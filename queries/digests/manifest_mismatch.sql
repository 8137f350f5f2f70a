-- id: manifest_mismatch
-- summary: a file that is not as the manifest lists it
-- why: Kinds: differs, another digest; absent, listed but not there; unlisted, there but not listed.
-- grain: file
-- severity: error
-- repair: Copy the file again.
-- reads: files
-- message: {side}: the file {file} {what}

SELECT
  kind, side, file, listed_digest AS original_value, found_digest AS backfill_value,
  CASE kind
    WHEN 'differs' THEN 'has another ' || algorithm || ' digest than the manifest'
    WHEN 'absent' THEN 'is in the manifest but not there'
    ELSE 'is there but not in the manifest'
  END AS what
FROM files
