-- The vendor refuses a call because it has found the AccessKey in public: it protects some operations, and lets all others
-- pass.
SELECT
    events.*,
    concat_ws('; ',
        coalesce('The vendor says that AccessKey ' || mask_key(access_key_id) || ' has leaked', 'The vendor says that an AccessKey has leaked'),
        CASE WHEN lower(trim(user_type)) = 'root-account' THEN 'The key belongs to the root account' ELSE 'The key belongs to user ' || user_name END,
        'The call ' || event_name || ' of ' || service_name || ' was refused',
        'The call came from ' || source_ip_address) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE outcome = 'failure'
  AND regexp_like(lower(error_message), 'leak|泄露|泄漏')
  AND regexp_like(lower(error_message), 'access ?key')
