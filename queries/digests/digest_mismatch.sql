-- id: digest_mismatch
-- summary: a window whose digests differ between the sides (replica)
-- why: The digest of the sorted row digests is the same only for the same rows, bit by bit in canonical form:
--   a tolerance does not soften it.
-- grain: window
-- severity: error
-- repair: See the keys of the window; rows that differ within a tolerance only are no other finding.
-- reads: windows, stream
-- message: {series}: the digests from {window_start} to {window_end} differ

SELECT
  series, window_start, window_end, original_digest AS original_value, backfill_digest AS backfill_value
FROM windows
CROSS JOIN stream
WHERE stream.mode = 'replica' AND stream.digest IS NOT NULL
  AND COALESCE(original_digest, '') <> COALESCE(backfill_digest, '')
