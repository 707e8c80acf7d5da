--! title = { en = "At a glance", zh = "概览" }
--! about = { en = "This period beside the one before it. Findings are the open ones whose first event lies in the period; unknown is a value of its own.", zh = "本期与上期对比。检测结果为首个事件在本期内且未关闭者；“未知”单独计数。" }
--! empty = { en = "Nothing was recorded.", zh = "没有任何记录。" }
--! show = "figures"
WITH looked AS (
    SELECT event_time >= $since AS is_now, outcome, mfa, user_type, source_class,
           coalesce(event_action LIKE 'consolesignin%' OR (event_action = 'login' AND lower(service_name) = 'cloudsso'), false) AS signs_in,
           coalesce(lower(service_name) = 'ecs' AND event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances',
               'deleteinstance', 'deleteinstances', 'release'), false) AS stops
    FROM events WHERE event_time >= $before AND event_time < $until
),
counted AS MATERIALIZED (
    SELECT is_now,
           count(*) AS events,
           count(*) FILTER (WHERE outcome = 'failure') AS failed_calls,
           count(*) FILTER (WHERE signs_in AND outcome = 'success') AS sign_ins,
           count(*) FILTER (WHERE signs_in AND outcome = 'success' AND mfa = 'yes') AS sign_ins_with_mfa,
           count(*) FILTER (WHERE signs_in AND outcome = 'success' AND mfa = 'no') AS sign_ins_without_mfa,
           count(*) FILTER (WHERE signs_in AND outcome = 'success' AND mfa NOT IN ('yes', 'no')) AS sign_ins_mfa_unknown,
           count(*) FILTER (WHERE signs_in AND outcome = 'failure') AS sign_ins_failed,
           count(*) FILTER (WHERE lower(user_type) = 'root-account') AS root_events,
           count(*) FILTER (WHERE stops AND outcome = 'success') AS stops
    FROM looked GROUP BY is_now
),
found AS MATERIALIZED (
    SELECT first_seen >= $since AS is_now, severity, status FROM findings WHERE first_seen >= $before AND first_seen < $until
),
figures AS (
    SELECT 1 AS place, 'critical' AS figure, is_now, count(*) AS value FROM found WHERE status = 'open' AND severity = 'critical' GROUP BY is_now
    UNION ALL SELECT 2, 'high', is_now, count(*) FROM found WHERE status = 'open' AND severity = 'high' GROUP BY is_now
    UNION ALL SELECT 3, 'medium', is_now, count(*) FROM found WHERE status = 'open' AND severity = 'medium' GROUP BY is_now
    UNION ALL SELECT 4, 'low', is_now, count(*) FROM found WHERE status = 'open' AND severity = 'low' GROUP BY is_now
    UNION ALL SELECT 5, 'info', is_now, count(*) FROM found WHERE status = 'open' AND severity = 'info' GROUP BY is_now
    UNION ALL SELECT 6, 'suppressed', is_now, count(*) FROM found WHERE status = 'suppressed' GROUP BY is_now
    UNION ALL SELECT 7, 'sign_ins', is_now, sign_ins FROM counted
    UNION ALL SELECT 8, 'sign_ins_with_mfa', is_now, sign_ins_with_mfa FROM counted
    UNION ALL SELECT 9, 'sign_ins_without_mfa', is_now, sign_ins_without_mfa FROM counted
    UNION ALL SELECT 10, 'sign_ins_mfa_unknown', is_now, sign_ins_mfa_unknown FROM counted
    UNION ALL SELECT 11, 'sign_ins_failed', is_now, sign_ins_failed FROM counted
    UNION ALL SELECT 12, 'root_events', is_now, root_events FROM counted
    UNION ALL SELECT 13, 'stops', is_now, stops FROM counted
    UNION ALL SELECT 14, 'failed_calls', is_now, failed_calls FROM counted
    UNION ALL SELECT 15, 'events', is_now, events FROM counted
),
asked AS (
    SELECT * FROM (VALUES (1, 'critical'), (2, 'high'), (3, 'medium'), (4, 'low'), (5, 'info'), (6, 'suppressed'), (7, 'sign_ins'),
        (8, 'sign_ins_with_mfa'), (9, 'sign_ins_without_mfa'), (10, 'sign_ins_mfa_unknown'), (11, 'sign_ins_failed'), (12, 'root_events'),
        (13, 'stops'), (14, 'failed_calls'), (15, 'events')) AS names (place, figure)
)
SELECT asked.figure, coalesce(sum(value) FILTER (WHERE is_now), 0) AS this_period,
       coalesce(sum(value) FILTER (WHERE NOT is_now), 0) AS period_before
FROM asked LEFT JOIN figures ON figures.place = asked.place
GROUP BY asked.place, asked.figure ORDER BY asked.place
