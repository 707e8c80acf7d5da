-- Everything done with AccessKeys: long-term ones and temporary ones.
SELECT * FROM events WHERE credential_kind IN ('long_term', 'temporary')
