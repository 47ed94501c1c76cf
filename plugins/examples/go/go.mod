module team-naming

go 1.24
