module github.com/zenconn/server/plugins/json-schema

go 1.24

require github.com/zenconn/server/plugins/sdk/go v0.0.0

replace github.com/zenconn/server/plugins/sdk/go => ../sdk/go
