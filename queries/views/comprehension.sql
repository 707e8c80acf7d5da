-- How well the events of each source are understood: for each account, day and fact, how many events had the fact read, absent, and present but not understood. A rule cannot judge an event with a fact that it reads and that was not understood; it says so with a finding of the variant `undetermined`.
--| source: Name of the source that delivered the events.
--| account_id: The account.
--| day: The day of the events, as in `events`.
--| fact: The fact, such as `identity` or `request_parameters`.
--| events: Number of events.
--| read: Events of which the fact was read.
--| absent: Events that do not have the fact.
--| not_understood: Events that have the fact in a form that was not understood; they carry the flag `<fact>_not_understood`.
SELECT source, account_id, day, counted['fact'] AS fact, events, counted['read'] AS read,
       events - counted['read'] - counted['not_understood'] AS absent, counted['not_understood'] AS not_understood
FROM (
    SELECT source, account_id, day, events, unnest(make_array(
        named_struct('fact', 'identity', 'read', identity_read, 'not_understood', identity_marked),
        named_struct('fact', 'time', 'read', time_read, 'not_understood', time_marked),
        named_struct('fact', 'action', 'read', action_read, 'not_understood', action_marked),
        named_struct('fact', 'service', 'read', service_read, 'not_understood', service_marked),
        named_struct('fact', 'account', 'read', account_read, 'not_understood', account_marked),
        named_struct('fact', 'source_address', 'read', source_address_read, 'not_understood', source_address_marked),
        named_struct('fact', 'outcome', 'read', outcome_read, 'not_understood', outcome_marked),
        named_struct('fact', 'request_parameters', 'read', request_parameters_read, 'not_understood', request_parameters_marked),
        named_struct('fact', 'mfa', 'read', mfa_read, 'not_understood', mfa_marked),
        named_struct('fact', 'resources', 'read', resources_read, 'not_understood', resources_marked))) AS counted
    FROM (
        SELECT source, account_id, day, count(*) AS events,
            count(*) FILTER (WHERE (principal_id IS NOT NULL OR user_name IS NOT NULL OR user_type IS NOT NULL OR access_key_id IS NOT NULL) AND NOT coalesce(array_has(flags, 'identity_not_understood'), false)) AS identity_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'identity_not_understood')) AS identity_marked,
            count(*) FILTER (WHERE (event_time IS NOT NULL) AND NOT coalesce(array_has(flags, 'time_not_understood'), false)) AS time_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'time_not_understood')) AS time_marked,
            count(*) FILTER (WHERE (event_action IS NOT NULL) AND NOT coalesce(array_has(flags, 'action_not_understood'), false)) AS action_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'action_not_understood')) AS action_marked,
            count(*) FILTER (WHERE (service_name IS NOT NULL OR event_source IS NOT NULL) AND NOT coalesce(array_has(flags, 'service_not_understood'), false)) AS service_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'service_not_understood')) AS service_marked,
            count(*) FILTER (WHERE (account_id IS NOT NULL) AND NOT coalesce(array_has(flags, 'account_not_understood'), false)) AS account_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'account_not_understood')) AS account_marked,
            count(*) FILTER (WHERE (source_ip_address IS NOT NULL) AND NOT coalesce(array_has(flags, 'source_address_not_understood'), false)) AS source_address_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'source_address_not_understood')) AS source_address_marked,
            count(*) FILTER (WHERE (outcome IS NOT NULL) AND NOT coalesce(array_has(flags, 'outcome_not_understood'), false)) AS outcome_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'outcome_not_understood')) AS outcome_marked,
            count(*) FILTER (WHERE (request_parameters IS NOT NULL OR request_parameter_json IS NOT NULL) AND NOT coalesce(array_has(flags, 'request_parameters_not_understood'), false)) AS request_parameters_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'request_parameters_not_understood')) AS request_parameters_marked,
            count(*) FILTER (WHERE (mfa <> 'unknown' OR session_mfa <> 'unknown') AND NOT coalesce(array_has(flags, 'mfa_not_understood'), false)) AS mfa_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'mfa_not_understood')) AS mfa_marked,
            count(*) FILTER (WHERE (cardinality(resources) > 0) AND NOT coalesce(array_has(flags, 'resources_not_understood'), false)) AS resources_read,
            count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'resources_not_understood')) AS resources_marked
        FROM events
        GROUP BY source, account_id, day
    )
)
