--! title = { en = "Sign-ins and MFA over time", zh = "登录与多因素认证走势" }
--! about = { en = "Successful sign-ins to the console, by whether a second factor was used.", zh = "成功的控制台登录，按是否使用多因素认证。" }
--! empty = { en = "Nobody signed in.", zh = "没有人登录。" }
--! show = "bars"
--! series = ["yes", "no", "unknown"]
SELECT date_bin(INTERVAL '15 minutes', event_time) AS moment, mfa AS series, count(*) AS value
FROM signins WHERE outcome = 'success' AND event_time >= $since AND event_time < $until
GROUP BY 1, 2 ORDER BY 1, 2
