-- Events signed with AccessKeys, long-term and temporary.
SELECT * FROM events WHERE credential_kind IN ('long_term', 'temporary')
