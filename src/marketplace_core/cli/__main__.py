from marketplace_core.cli import main

main()
