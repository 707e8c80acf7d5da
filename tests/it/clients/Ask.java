// What a program in Java sees through JDBC. Arguments: HOST:PORT and password. Prints NAME=VALUE lines.
import java.sql.*;
import java.time.OffsetDateTime;
import java.util.TreeSet;

public class Ask {
    public static void main(String[] args) throws Exception {
        try (Connection db = DriverManager.getConnection("jdbc:postgresql://" + args[0] + "/lake", "analyst", args[1])) {
            // From the fifth time on the driver keeps the plan at the server and asks for binary values.
            try (PreparedStatement failures = db.prepareStatement("SELECT count(*) FROM events WHERE outcome = ?")) {
                for (int time = 0; time < 8; time++) {
                    failures.setString(1, "failure");
                    try (ResultSet rows = failures.executeQuery()) {
                        rows.next();
                        System.out.println("failures=" + rows.getLong(1));
                    }
                }
            }
            try (Statement newest = db.createStatement(); ResultSet rows = newest.executeQuery("SELECT max(event_time) FROM events")) {
                rows.next();
                System.out.println("newest=" + rows.getObject(1, OffsetDateTime.class).toInstant());
            }
            String stops = "SELECT instance_ids FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1";
            try (Statement list = db.createStatement(); ResultSet rows = list.executeQuery(stops)) {
                rows.next();
                System.out.println("list=" + String.join(",", (String[]) rows.getArray(1).getArray()));
            }
            try (Statement change = db.createStatement()) {
                change.execute("DELETE FROM events");
            } catch (SQLException refused) {
                System.out.println("refused=" + refused.getSQLState());
            }
            // What tools list before anybody asks: tables, then the columns of one.
            TreeSet<String> tables = new TreeSet<>();
            try (ResultSet rows = db.getMetaData().getTables(null, null, "%", new String[] {"TABLE", "VIEW"})) {
                while (rows.next()) {
                    tables.add(rows.getString("TABLE_NAME"));
                }
            }
            System.out.println("tables=" + String.join(",", tables));
            TreeSet<String> columns = new TreeSet<>();
            try (ResultSet rows = db.getMetaData().getColumns(null, null, "events", "%")) {
                while (rows.next()) {
                    columns.add(rows.getString("COLUMN_NAME") + ":" + rows.getString("TYPE_NAME"));
                }
            }
            System.out.println("columns=" + String.join(",", columns));
        }
    }
}
