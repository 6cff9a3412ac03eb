module github.com/zenconn/server/plugins/sdk/go

go 1.24
