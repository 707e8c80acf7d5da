-- Resources or networks shared with an account that is not the company's.
WITH calls AS (
    SELECT
        events.*,
        event_action IN ('createresourceshare', 'associateresourceshare', 'updateresourceshare') AS is_share,
        array_concat(
            -- Each parameter counts for the call that has it.
            coalesce(CASE WHEN event_action IN ('createresourceshare', 'associateresourceshare') THEN values_at(request_parameters, request_parameter_json, 'Targets') END, make_array()),
            coalesce(CASE WHEN event_action IN ('createresourceshare', 'associateresourceshare') THEN entries(request_parameters, request_parameter_json, 'TargetProperties') END, make_array()),
            coalesce(CASE event_action
                WHEN 'grantinstancetotransitrouter' THEN values_at(request_parameters, request_parameter_json, 'CenOwnerId')
                WHEN 'grantinstancetocen' THEN values_at(request_parameters, request_parameter_json, 'CenOwnerId')
                WHEN 'grantinstancetovbr' THEN values_at(request_parameters, request_parameter_json, 'VbrOwnerUid')
                WHEN 'grantinstancetoexpressconnectrouter' THEN values_at(request_parameters, request_parameter_json, 'EcrOwnerAliUid')
                WHEN 'createvpcpeerconnection' THEN values_at(request_parameters, request_parameter_json, 'AcceptingAliUid')
            END, make_array())) AS receivers,
        -- Where not even the account itself is in the list, there is no list to tell strangers by.
        coalesce(matches(account_id, 'accounts'), false) AS accounts_known
    FROM events
    WHERE outcome = 'success'
      AND (event_action IN ('createresourceshare', 'associateresourceshare', 'updateresourceshare') AND lower(service_name) = 'resourcesharing'
           -- A new name shares nothing.
           AND (event_action <> 'updateresourceshare' OR any_is(values_at(request_parameters, request_parameter_json, 'AllowExternalTargets'), 'equals', 'true'))
        OR event_action = 'grantinstancetotransitrouter' AND lower(service_name) = 'cbn'
        OR event_action IN ('grantinstancetocen', 'grantinstancetovbr') AND lower(service_name) = 'vpc'
        OR event_action = 'grantinstancetoexpressconnectrouter' AND lower(service_name) = 'expressconnectrouter'
        OR event_action IN ('createvpcpeerconnection', 'acceptvpcpeerconnection') AND lower(service_name) = 'vpcpeer')
),
received AS (
    SELECT event_key, account_id, CASE WHEN receiver LIKE '{%' THEN param(receiver, 'TargetId') ELSE trim(receiver) END AS receiver
    FROM (SELECT event_key, account_id, unnest(receivers) AS receiver FROM calls)
),
resources_shared AS (
    SELECT
        event_key AS shared_by,
        string_agg(DISTINCT coalesce(param(entry, 'ResourceId'), entry), ', ' ORDER BY coalesce(param(entry, 'ResourceId'), entry)) AS resource_ids,
        bool_and(regexp_like(lower(coalesce(param(entry, 'ResourceType'), entry)), '(^|:)(snapshot|image)')) AS holds_images_only
    FROM (
        SELECT event_key, unnest(array_concat(
            coalesce(entries(request_parameters, request_parameter_json, 'Resources'), make_array()),
            coalesce(entries(request_parameters, request_parameter_json, 'ResourceArns'), make_array()))) AS entry
        FROM calls
        -- The other calls have no such parameters.
        WHERE event_action IN ('createresourceshare', 'associateresourceshare'))
    GROUP BY event_key
),
strangers AS (
    SELECT event_key AS received_by, string_agg(DISTINCT receiver, ', ' ORDER BY receiver) AS accounts_served
    FROM received
    -- Folders and the organization itself are no accounts.
    WHERE regexp_like(receiver, '^[0-9]+$') AND receiver <> coalesce(account_id, '') AND NOT coalesce(matches(receiver, 'accounts'), false)
    GROUP BY event_key
),
judged AS (
    SELECT
        calls.*,
        accounts_served,
        resource_ids,
        coalesce(holds_images_only, false) AS holds_images_only,
        event_action IN ('grantinstancetotransitrouter', 'grantinstancetocen', 'grantinstancetovbr', 'grantinstancetoexpressconnectrouter', 'acceptvpcpeerconnection') AND cardinality(receivers) = 0
            -- It lacks what the call must name, whatever else it has.
            OR event_action <> 'updateresourceshare' AND cardinality(receivers) = 0
                AND CASE event_action
                    WHEN 'createresourceshare' THEN values_at(request_parameters, request_parameter_json, 'ResourceShareName')
                    WHEN 'associateresourceshare' THEN values_at(request_parameters, request_parameter_json, 'ResourceShareId')
                    WHEN 'createvpcpeerconnection' THEN values_at(request_parameters, request_parameter_json, 'VpcId')
                END IS NULL AS receiver_unknown
    FROM calls
    LEFT JOIN strangers ON received_by = event_key
    LEFT JOIN resources_shared ON shared_by = event_key
)
SELECT
    judged.*,
    CASE
        WHEN receiver_unknown THEN 'low'
        WHEN event_action = 'updateresourceshare' THEN 'medium'
        -- The service refuses strangers unless the share is opened for them.
        WHEN event_action = 'createresourceshare' AND any_is(values_at(request_parameters, request_parameter_json, 'AllowExternalTargets'), 'equals', 'true') IS NOT TRUE THEN 'low'
        WHEN NOT accounts_known THEN 'medium'
        ELSE 'high'
    END AS severity,
    CASE WHEN receiver_unknown THEN 'receiver-unknown' END AS variant,
    concat_ws('; ',
        CASE
            WHEN event_action = 'updateresourceshare' THEN 'Opened the resource share ' || coalesce(param(request_parameters, request_parameter_json, 'ResourceShareId'), '?') || ' to accounts outside the organization'
            WHEN is_share THEN 'Shared resources with account ' || coalesce(accounts_served, '?')
            WHEN event_action = 'acceptvpcpeerconnection' THEN 'Accepted the connection ' || coalesce(param(request_parameters, request_parameter_json, 'InstanceId'), '?') || ' to a VPC of another account'
            WHEN event_action = 'createvpcpeerconnection' THEN 'Connected VPC ' || coalesce(param(request_parameters, request_parameter_json, 'VpcId'), '?') || ' to a VPC of account ' || coalesce(accounts_served, '?')
            ELSE 'Let account ' || coalesce(accounts_served, '?') || ' attach ' || coalesce(param(request_parameters, request_parameter_json, 'InstanceId'), param(request_parameters, request_parameter_json, 'VbrInstanceIds'), '?') || ' to its network'
        END,
        'Resources: ' || resource_ids) AS why,
    concat_ws('; ',
        CASE
            WHEN receiver_unknown THEN 'Whose account it is'
            WHEN event_action <> 'updateresourceshare' AND NOT accounts_known THEN 'Whether the account is one of the company (the parameter accounts does not list this one)'
        END,
        CASE WHEN event_action = 'updateresourceshare' THEN 'Whether the share has a stranger among its targets' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
-- Snapshots and images that leave are AT-DATA-002.
WHERE NOT holds_images_only
  AND (accounts_served IS NOT NULL OR receiver_unknown OR event_action = 'updateresourceshare')
