-- Everything the root account did.
SELECT * FROM events WHERE lower(user_type) = 'root-account'
