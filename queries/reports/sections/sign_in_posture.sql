--! title = { en = "Sign-in posture", zh = "登录状况" }
--! about = { en = "Successful sign-ins by account: with a second factor, without, not known; from the company's ranges, from elsewhere, from what is no address or with no ranges given.", zh = "各账号成功登录：使用、未使用、未知多因素认证；来自公司网段、其他地址、无法判断。" }
--! empty = { en = "Nobody signed in.", zh = "没有人登录。" }
WITH looked AS (
    SELECT account_id, outcome, mfa, coalesce(principal_id, user_name, login_account) AS who,
           CASE WHEN source_class <> 'ip' THEN NULL ELSE ip_in(source_ip, 'corporate_cidrs', event_time) END AS inside
    FROM signins WHERE event_time >= $since AND event_time < $until
)
SELECT account_id, count(*) FILTER (WHERE outcome = 'success') AS sign_ins, count(DISTINCT who) FILTER (WHERE outcome = 'success') AS people,
       count(*) FILTER (WHERE outcome = 'success' AND mfa = 'yes') AS mfa_yes,
       count(*) FILTER (WHERE outcome = 'success' AND mfa = 'no') AS mfa_no,
       count(*) FILTER (WHERE outcome = 'success' AND mfa NOT IN ('yes', 'no')) AS mfa_unknown,
       count(*) FILTER (WHERE outcome = 'success' AND inside) AS inside_ranges,
       count(*) FILTER (WHERE outcome = 'success' AND NOT inside) AS outside_ranges,
       count(*) FILTER (WHERE outcome = 'success' AND inside IS NULL) AS address_unknown,
       count(*) FILTER (WHERE outcome = 'failure') AS failed
FROM looked GROUP BY account_id ORDER BY sign_ins DESC, account_id
