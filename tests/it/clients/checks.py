"""Runs named checks against the server and prints their results as one JSON object."""
import json
import sys

HOST, PORT, PASSWORD = sys.argv[1], int(sys.argv[2]), sys.argv[3]
USER, DATABASE = "analyst", "lake"
URL = f"{USER}:{PASSWORD}@{HOST}:{PORT}/{DATABASE}"


def run(**checks):
    results = {}
    for name, check in checks.items():
        try:
            results[name] = check()
        except BaseException as error:  # a client may raise anything
            results[name] = f"ERROR {type(error).__name__}: {error}"
    print(json.dumps(results, default=str))
