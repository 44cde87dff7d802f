module go-behind-lbdev

go 1.19
