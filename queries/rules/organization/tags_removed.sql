-- Tags of fifty or more resources removed by one principal within an hour. Permissions, backups and bills hang on tags.
-- The windows run over few columns; the whole events are joined at the end.
WITH untagged AS (
    SELECT
        event_key,
        event_time,
        coalesce(account_id, '') AS account,
        -- A role has another principal in every session.
        coalesce(role_name, principal_id, user_name, '') AS who,
        -- A call that names no resource concerns at least one.
        greatest(1, cardinality(array_distinct(array_concat(
            coalesce(entries(request_parameters, request_parameter_json, 'ResourceId'), make_array()),
            coalesce(entries(request_parameters, request_parameter_json, 'ResourceIds'), make_array()),
            coalesce(entries(request_parameters, request_parameter_json, 'resource_ids'), make_array()),
            coalesce(entries(request_parameters, request_parameter_json, 'ResourceARN'), make_array()),
            coalesce(entries(request_parameters, request_parameter_json, 'ResourceNames'), make_array()))))) AS resources_named
    FROM events
    WHERE event_time IS NOT NULL
      AND outcome = 'success'
      AND event_action IN ('untagresources', 'untagresource', 'untagresourcesforexpressconnect', 'untagdcdnresources', 'untagliveresources', 'deletetagresources', 'removetags', 'removetagsfromresource')
),
counted AS (
    SELECT *, sum(resources_named) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW) AS in_window
    FROM untagged
),
marked AS (
    SELECT event_key, who, resources_named, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '1 hour' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ',
        'Removed tags of fifty resources or more within an hour',
        CASE WHEN any_is(values_at(request_parameters, request_parameter_json, 'All'), 'equals', 'true') OR any_is(values_at(request_parameters, request_parameter_json, 'DeleteAll'), 'equals', 'true') THEN 'Removed every tag of the resources' END) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 50
