// SPDX-License-Identifier: MIT
//
// Main BOOTSTRAP PREFIX [cross]: the cases of the Java client, results as TAP on standard output.
// PREFIX begins all topic and group names, so that several programs can share a broker.

final class Main {
    private Main() {
    }

    public static void main(String[] args) throws Exception {
        Client.open(args[0], args[1]);
        System.out.println("# Java client " + Client.VERSION);
        if (args.length > 2 && args[2].equals("cross")) {
            Cross.run();
        } else {
            AdminCases.run();
            DataCases.run();
            GroupCases.run();
            TxnCases.run();
        }
        int status = Tap.finish();
        Client.admin.close(java.time.Duration.ofSeconds(2));
        System.exit(status);
    }
}
