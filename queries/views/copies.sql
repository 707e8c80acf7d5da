-- The former name of `event_copies`. It goes with 0.3.0.
SELECT * FROM event_copies
